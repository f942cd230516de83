// Holds the lock of the data folder named by the first argument until it is killed.
import { lockFolder } from '../../lib/embedded/store/folder-lock.js';

lockFolder(process.argv[2] as string);
process.stdout.write('held\n');
setInterval(() => {}, 1_000);
