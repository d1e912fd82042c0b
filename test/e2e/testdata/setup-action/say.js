// say prints where a stage runs. The child process shows that node finds itself
// and its libraries a second time.
const { execFileSync } = require('child_process');
module.exports = function say(stage) {
  const child = execFileSync(process.execPath, ['-p', '6*7'], { encoding: 'utf8' }).trim();
  const { GITHUB_WORKSPACE, HOME, INPUT_GREETING, STATE_began = '' } = process.env;
  console.log(`${stage}: ${INPUT_GREETING} from ${process.execPath} in ${process.cwd()}, workspace ${GITHUB_WORKSPACE}, home ${HOME}, child ${child}, state ${STATE_began}`);
};
