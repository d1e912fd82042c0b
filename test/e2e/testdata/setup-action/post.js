require('./say.js')('post');
