const fs = require('fs');
const path = require('path');
require('./say.js')('main');
// A program of its own is what setup actions bring, for the steps behind them.
const bin = path.join(process.env.RUNNER_TEMP, 'setup');
fs.mkdirSync(bin, { recursive: true });
fs.writeFileSync(path.join(bin, 'from-setup'), '#!/bin/sh\necho "from-setup: $*"\n', { mode: 0o755 });
fs.appendFileSync(process.env.GITHUB_PATH, bin + '\n');
fs.appendFileSync(process.env.GITHUB_ENV, 'SETUP<<end\ntwo\nlines\nend\n');
fs.appendFileSync(process.env.GITHUB_OUTPUT, `glibc=${process.report.getReport().header.glibcVersionRuntime}\n`);
