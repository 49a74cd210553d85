// Serves the demo, from a fresh clone or one that is ready. (npm start)

import "./prepare.mjs";

// In this process: a second one would take a tenth of a second to start.
const { demo } = await import("../dist/control/program.js");
await demo();
