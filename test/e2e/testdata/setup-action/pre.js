require('./say.js')('pre');
require('fs').appendFileSync(process.env.GITHUB_STATE, 'began=in pre\n');
