// The global `console`.

const {
  ErrorCaptureStackTrace, Map, MapPrototypeDelete, MapPrototypeGet, MapPrototypeHas,
  MapPrototypeSet, MathFloor, MathMin, NumberPrototypeToFixed, ObjectCreate, ObjectDefineProperty,
  ObjectPrototype, ReflectOwnKeys, StringPrototypeIndexOf, StringPrototypePadStart,
  StringPrototypeRepeat, StringPrototypeSlice, SymbolIterator, SymbolToStringTag, define,
  defineGlobal, iterate, list,
} = internal.primordials;
const { cutText, indentLines } = internal.text;
const { errorStackOf, format, inspect, tableText } = internal;
const { nowMs, print, timeOriginMs } = host;

const LEVEL = { __proto__: null, log: 0, debug: 1, info: 2, warn: 3, error: 4 };
const GROUPS_SHOWN_MAX = 40;
const LABEL_CHARS_MAX = 1000;

let groups = 0;
let margin = "";
// While the prelude warms itself up nothing is printed.
let muted = false;
const counts = new Map();
const starts = new Map();

const write = (level, text) => {
  if (muted) return;
  print(level, margin === "" ? text : cutText(margin + indentLines(text, margin)));
};

const setGroups = (count) => {
  groups = count;
  margin = StringPrototypeRepeat("  ", count < GROUPS_SHOWN_MAX ? count : GROUPS_SHOWN_MAX);
};

const labelOf = (label) => {
  const text = `${label}`;
  return text.length > LABEL_CHARS_MAX ? StringPrototypeSlice(text, 0, LABEL_CHARS_MAX) : text;
};

const durationText = (ms) => {
  if (ms < 1000) return `${+NumberPrototypeToFixed(ms, 3)}ms`;
  if (ms < 60_000) return `${NumberPrototypeToFixed(ms / 1000, 3)}s`;
  const hours = MathFloor(ms / 3_600_000);
  const minutes = MathFloor(ms / 60_000) % 60;
  const seconds = StringPrototypePadStart(NumberPrototypeToFixed((ms % 60_000) / 1000, 3), 6, "0");
  if (hours === 0) return `${minutes}:${seconds} (m:ss.mmm)`;
  return `${hours}:${StringPrototypePadStart(`${minutes}`, 2, "0")}:${seconds} (h:mm:ss.mmm)`;
};

// Time since 1970, so that a label may be used from one run of a session to the next.
const epochMs = () => timeOriginMs() + nowMs();

const printTime = (label, args) => {
  const name = labelOf(label);
  const start = MapPrototypeGet(starts, name);
  if (start === undefined) {
    write(LEVEL.warn, `Timer '${name}' does not exist`);
    return;
  }
  const passed = epochMs() - start;
  let text = `${name}: ${durationText(passed > 0 ? passed : 0)}`;
  if (args !== undefined && args.length > 0) text += ` ${format(args)}`;
  write(LEVEL.log, text);
};

const columnNames = (properties) => {
  if (properties === undefined || properties === null || typeof properties !== "object") {
    return undefined;
  }
  const method = properties[SymbolIterator];
  if (typeof method !== "function") return undefined;
  const names = list();
  iterate(properties, method, (name) => {
    if (names.length < 50) names[names.length] = `${name}`;
  });
  return names;
};

const methods = {
  __proto__: null,
  log(...args) {
    write(LEVEL.log, format(args));
  },
  debug(...args) {
    write(LEVEL.debug, format(args));
  },
  info(...args) {
    write(LEVEL.info, format(args));
  },
  warn(...args) {
    write(LEVEL.warn, format(args));
  },
  error(...args) {
    write(LEVEL.error, format(args));
  },
  trace(...args) {
    const place = {};
    ErrorCaptureStackTrace(place, methods.trace);
    const stack = errorStackOf(place) ?? "";
    const frames = StringPrototypeIndexOf(stack, "\n    at");
    const message = format(args);
    const head = message === "" ? "Trace" : `Trace: ${message}`;
    write(LEVEL.debug, cutText(frames === -1 ? head : head + StringPrototypeSlice(stack, frames)));
  },
  dir(item = undefined, options = undefined) {
    let depth;
    if (options !== null && typeof options === "object") {
      const asked = options.depth;
      if (asked === null || asked === Infinity) depth = 100;
      else if (typeof asked === "number" && asked >= 0) depth = MathMin(MathFloor(asked), 100);
    }
    write(LEVEL.log, cutText(inspect(item, depth)));
  },
  dirxml(...args) {
    write(LEVEL.log, format(args));
  },
  table(tabularData = undefined, properties = undefined) {
    const text = tableText(tabularData, columnNames(properties));
    write(LEVEL.log, text === undefined ? format([tabularData]) : cutText(text));
  },
  assert(condition = false, ...args) {
    if (condition) return;
    if (args.length === 0) {
      write(LEVEL.error, "Assertion failed");
    } else if (typeof args[0] === "string") {
      args[0] = `Assertion failed: ${args[0]}`;
      write(LEVEL.error, format(args));
    } else {
      write(LEVEL.error, cutText(`Assertion failed ${format(args)}`));
    }
  },
  count(label = "default") {
    const name = labelOf(label);
    const count = (MapPrototypeGet(counts, name) ?? 0) + 1;
    MapPrototypeSet(counts, name, count);
    write(LEVEL.log, `${name}: ${count}`);
  },
  countReset(label = "default") {
    const name = labelOf(label);
    if (!MapPrototypeDelete(counts, name)) {
      write(LEVEL.warn, `Count for '${name}' does not exist`);
    }
  },
  group(...args) {
    if (args.length > 0) write(LEVEL.log, format(args));
    setGroups(groups + 1);
  },
  groupCollapsed(...args) {
    if (args.length > 0) write(LEVEL.log, format(args));
    setGroups(groups + 1);
  },
  groupEnd() {
    if (groups > 0) setGroups(groups - 1);
  },
  time(label = "default") {
    const name = labelOf(label);
    if (MapPrototypeHas(starts, name)) {
      write(LEVEL.warn, `Label '${name}' already exists for console.time()`);
      return;
    }
    MapPrototypeSet(starts, name, epochMs());
  },
  timeLog(label = "default", ...args) {
    printTime(label, args);
  },
  timeEnd(label = "default") {
    printTime(label, undefined);
    MapPrototypeDelete(starts, labelOf(label));
  },
  clear() {},
};

// A namespace object: its prototype is an empty object.
const console = ObjectCreate(ObjectCreate(ObjectPrototype));
const names = ReflectOwnKeys(methods);
for (let i = 0; i < names.length; i++) define(console, names[i], methods[names[i]], true);
ObjectDefineProperty(console, SymbolToStringTag, {
  __proto__: null, value: "console", writable: false, enumerable: false, configurable: true,
});
defineGlobal("console", console);

internal.console = methods;
internal.setConsoleMuted = (value) => {
  muted = value;
};
// A group that a run left open does not indent the next one.
internal.resetGroups = () => setGroups(0);
internal.clearConsoleState = () => {
  MapPrototypeDelete(counts, "warm-up");
  MapPrototypeDelete(starts, "warm-up");
  setGroups(0);
};
