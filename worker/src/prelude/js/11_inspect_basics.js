// What the console's inspection stands on: its state and bounds, primitives, and what can be told
// of an object without running code of the user.

const {
  ArrayPrototype, FunctionPrototype, MathMin, ObjectHasOwn, ObjectPrototype,
  ReflectGetOwnPropertyDescriptor, ReflectGetPrototypeOf, StringPrototypeIndexOf,
  StringPrototypeSlice, SymbolPrototypeToString, SymbolToStringTag, list,
} = internal.primordials;
const {
  LINE_COLUMNS, NESTED_STRING_CHARS_MAX, TEXT_CHARS_MAX, isIdentifier, numberText, plural, quote,
} = internal.text;
const { proxyDetails, typeTag } = host;

const DEPTH_MAX = 4;
const PROTOTYPES_MAX = 1000;
// What an entry costs besides its characters: punctuation, indentation, and the time it takes.
const ENTRY_COST = 4;
const BIGINT_SHOWN_MAX = 1n << 33_216n;

// The state of one call. `charsLeft` goes down with each entry; below zero nothing more is shown.
const newInspection = (depthMax = DEPTH_MAX, charsMax = TEXT_CHARS_MAX) => ({
  depthMax,
  charsLeft: charsMax,
  indentation: 0,
  // The depth of the container that was laid out last.
  lastDepth: 0,
  ancestors: list(),
  circular: undefined,
  circularCount: 0,
});

const charge = (state, text) => {
  state.charsLeft -= text.length + ENTRY_COST;
  return text;
};

const bigintText = (value) => {
  if (value > BIGINT_SHOWN_MAX || value < -BIGINT_SHOWN_MAX) return "<BigInt of over 9999 digits>";
  return `${value}n`;
};

const symbolText = (value) => {
  const text = SymbolPrototypeToString(value);
  if (text.length <= NESTED_STRING_CHARS_MAX) return text;
  return `${StringPrototypeSlice(text, 0, NESTED_STRING_CHARS_MAX)}...`;
};

// A string inside a container (or alone in a REPL). Long ones with line breaks become a sum.
const stringText = (state, value) => {
  let text = value;
  let trailer = "";
  const max = MathMin(NESTED_STRING_CHARS_MAX, TEXT_CHARS_MAX);
  if (text.length > max) {
    trailer = `... ${plural(text.length - max, "character")}`;
    text = StringPrototypeSlice(text, 0, max);
  }
  const room = LINE_COLUMNS - state.indentation - 4;
  if (text.length <= 16 || text.length <= room) return quote(text) + trailer;
  let at = StringPrototypeIndexOf(text, "\n");
  if (at === -1 || at === text.length - 1) return quote(text) + trailer;
  let margin = " +\n";
  for (let i = 0; i < state.indentation + 2; i++) margin += " ";
  let result = "";
  let from = 0;
  while (at !== -1 && at < text.length - 1) {
    result += quote(StringPrototypeSlice(text, from, at + 1)) + margin;
    from = at + 1;
    at = StringPrototypeIndexOf(text, "\n", from);
  }
  return result + quote(StringPrototypeSlice(text, from)) + trailer;
};

const primitiveText = (state, value) => {
  switch (typeof value) {
    case "string": return stringText(state, value);
    case "number": return numberText(value);
    case "bigint": return bigintText(value);
    case "symbol": return symbolText(value);
    default: return `${value}`;
  }
};

// An own property that is data; undefined for all else. Never to be used on a proxy.
const ownData = (object, key) => {
  const descriptor = ReflectGetOwnPropertyDescriptor(object, key);
  if (descriptor === undefined || !ObjectHasOwn(descriptor, "value")) return undefined;
  return descriptor.value;
};

const isProxy = (value) => typeTag(value) === "Proxy";

// The object behind a proxy, through all proxies; null when one of them is revoked.
const behindProxies = (value) => {
  let object = value;
  for (;;) {
    const details = proxyDetails(object);
    if (details === undefined) return object;
    object = details[0];
    if (object === null || object === undefined) return null;
  }
};

// The prototype, seen through proxies so that no trap runs.
const prototypeOf = (object) => {
  const prototype = ReflectGetPrototypeOf(object);
  if (prototype === null || prototype === ObjectPrototype || prototype === FunctionPrototype) {
    return prototype;
  }
  return isProxy(prototype) ? behindProxies(prototype) : prototype;
};

const inherits = (object, prototype) => {
  let current = object;
  for (let i = 0; i < PROTOTYPES_MAX; i++) {
    current = prototypeOf(current);
    if (current === prototype) return true;
    if (current === null) return false;
  }
  return false;
};

const constructorNameAt = (object, prototype) => {
  if (prototype === ObjectPrototype) return "Object";
  if (prototype === ArrayPrototype) return "Array";
  const constructor = ownData(prototype, "constructor");
  if (typeof constructor !== "function" || isProxy(constructor)) return undefined;
  const name = ownData(constructor, "name");
  if (typeof name !== "string" || name === "") return undefined;
  const members = ownData(constructor, "prototype");
  if (members === undefined || members === null) return undefined;
  return inherits(object, members) ? name : undefined;
};

// The name of the class that made an object (null without one) and its tag ("" without one).
const identify = (object) => {
  let name;
  let tag;
  let current = object;
  let end = false;
  for (let i = 0; i < PROTOTYPES_MAX; i++) {
    if (tag === undefined) {
      const descriptor = ReflectGetOwnPropertyDescriptor(current, SymbolToStringTag);
      if (descriptor !== undefined) {
        const shown = current === object && descriptor.enumerable;
        const value = ObjectHasOwn(descriptor, "value") ? descriptor.value : "";
        tag = typeof value === "string" && !shown ? value : "";
      }
    }
    if (name === undefined && (current !== object || ObjectHasOwn(object, "constructor"))) {
      name = constructorNameAt(object, current);
    }
    if (name !== undefined && tag !== undefined) break;
    current = prototypeOf(current);
    if (current === null) {
      end = true;
      break;
    }
  }
  return { name: name ?? (end ? null : "Object"), tag: tag ?? "" };
};

const prefixOf = (identity, fallback, size = "") => {
  const { name, tag } = identity;
  if (name === null) {
    const shown = tag !== "" && tag !== fallback ? ` [${tag}]` : "";
    return `[${fallback}${size}: null prototype]${shown} `;
  }
  return `${name}${size} ${tag !== "" && tag !== name ? `[${tag}] ` : ""}`;
};

const keyText = (key) => {
  if (typeof key === "symbol") return `[${symbolText(key)}]`;
  if (key === "__proto__") return "['__proto__']";
  if (isIdentifier(key)) return key;
  if (key.length > NESTED_STRING_CHARS_MAX) {
    return `${quote(StringPrototypeSlice(key, 0, NESTED_STRING_CHARS_MAX))}...`;
  }
  return quote(key);
};

internal.newInspection = newInspection;
internal.charge = charge;
internal.symbolText = symbolText;
internal.primitiveText = primitiveText;
internal.ownData = ownData;
internal.isProxy = isProxy;
internal.behindProxies = behindProxies;
internal.prototypeOf = prototypeOf;
internal.identify = identify;
internal.prefixOf = prefixOf;
internal.keyText = keyText;
