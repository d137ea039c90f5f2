"use strict";
// Whoever has left a letter without keeping it was asked about that: nothing of it stays in the browser (see unkept.js).
sessionStorage.removeItem("letter that is not kept");
