// What a console shows for a value. Nothing here runs code of the user: proxies are seen through by
// the host, and each kind of object is told apart by V8 itself. All is bounded by depth, by entries
// for each container and by characters in all.

const {
  ArrayBufferPrototypeGetByteLength, BigIntPrototypeValueOf, BooleanPrototypeValueOf,
  DataViewPrototypeGetBuffer, DataViewPrototypeGetByteLength, DataViewPrototypeGetByteOffset,
  DatePrototypeGetTime, DatePrototypeToISOString, FunctionPrototypeToString, Map, MapPrototypeGet,
  MapPrototypeGetSize, MapPrototypeSet, NumberPrototypeValueOf, ReflectOwnKeys,
  RegExpPrototypeGetDotAll, RegExpPrototypeGetGlobal, RegExpPrototypeGetHasIndices,
  RegExpPrototypeGetIgnoreCase, RegExpPrototypeGetMultiline, RegExpPrototypeGetSource,
  RegExpPrototypeGetSticky, RegExpPrototypeGetUnicode, RegExpPrototypeGetUnicodeSets,
  SetPrototypeGetSize, SharedArrayBufferPrototypeGetByteLength, StringPrototypeEndsWith,
  StringPrototypeIncludes, StringPrototypeIndexOf, StringPrototypeSlice,
  StringPrototypeStartsWith, StringPrototypeValueOf, SymbolPrototypeValueOf,
  TypedArrayPrototypeGetLength, list,
} = internal.primordials;
const { layOut } = internal.text;
const {
  addBufferEntries, addElements, addHookPairs, addIteratorEntries, addMapEntries, addPromiseState,
  addProperties, addSetEntries, addTypedElements, behindProxies, charge, hasProperties, identify,
  inspectHooks, isProxy, nested, newInspection, ownData, prefixOf, primitiveText, prototypeOf,
} = internal;
const { nonIndexKeys, previewEntries, typeTag } = host;

const regExpText = (value) => {
  let flags = "";
  if (RegExpPrototypeGetHasIndices(value)) flags += "d";
  if (RegExpPrototypeGetGlobal(value)) flags += "g";
  if (RegExpPrototypeGetIgnoreCase(value)) flags += "i";
  if (RegExpPrototypeGetMultiline(value)) flags += "m";
  if (RegExpPrototypeGetDotAll(value)) flags += "s";
  if (RegExpPrototypeGetUnicode(value)) flags += "u";
  if (RegExpPrototypeGetUnicodeSets(value)) flags += "v";
  if (RegExpPrototypeGetSticky(value)) flags += "y";
  return `/${RegExpPrototypeGetSource(value)}/${flags}`;
};

const dateText = (value) => {
  const time = DatePrototypeGetTime(value);
  return time !== time ? "Invalid Date" : DatePrototypeToISOString(value);
};

const isClassSource = (source) => {
  if (!StringPrototypeStartsWith(source, "class") || !StringPrototypeEndsWith(source, "}")) {
    return false;
  }
  // A method named `class` has its parameters before its body.
  const brace = StringPrototypeIndexOf(source, "{");
  const head = StringPrototypeSlice(source, 5, brace);
  const parenthesis = StringPrototypeIndexOf(head, "(");
  return parenthesis === -1 || StringPrototypeIncludes(head, " extends ");
};

const functionText = (value, type, identity) => {
  const ownName = ownData(value, "name");
  const name = typeof ownName === "string" ? ownName : "";
  if (type === "Function" && isClassSource(FunctionPrototypeToString(value))) {
    let text = `[class ${name === "" ? "(anonymous)" : name}`;
    if (identity.name !== "Function" && identity.name !== null) text += ` [${identity.name}]`;
    if (identity.tag !== "" && identity.name !== identity.tag) text += ` [${identity.tag}]`;
    if (identity.name === null) return `${text} extends null]`;
    const parent = prototypeOf(value);
    const parentName = typeof parent === "function" ? ownData(parent, "name") : undefined;
    if (typeof parentName === "string" && parentName !== "") text += ` extends ${parentName}`;
    return `${text}]`;
  }
  let text = `[${type}`;
  if (identity.name === null) text += " (null prototype)";
  text += `${name === "" ? " (anonymous)" : `: ${name}`}]`;
  if (identity.name !== type && identity.name !== null) text += ` ${identity.name}`;
  if (identity.tag !== "" && identity.tag !== identity.name) text += ` [${identity.tag}]`;
  return text;
};

const functionTypes = {
  __proto__: null,
  Function: "Function", AsyncFunction: "AsyncFunction", GeneratorFunction: "GeneratorFunction",
  AsyncGeneratorFunction: "AsyncGeneratorFunction",
};

const boxedText = (name, identity, text) => {
  let result = `[${name}`;
  if (identity.name === null) result += " (null prototype)";
  else if (identity.name !== name) result += ` (${identity.name})`;
  result += `: ${text}]`;
  if (identity.tag !== "" && identity.tag !== identity.name) result += ` [${identity.tag}]`;
  return result;
};

const boxedNames = {
  __proto__: null,
  NumberObject: "Number", BooleanObject: "Boolean", BigIntObject: "BigInt",
  SymbolObject: "Symbol", StringObject: "String",
};

const boxedValue = (tag, value) => {
  switch (tag) {
    case "NumberObject": return NumberPrototypeValueOf(value);
    case "BooleanObject": return BooleanPrototypeValueOf(value);
    case "BigIntObject": return BigIntPrototypeValueOf(value);
    case "SymbolObject": return SymbolPrototypeValueOf(value);
    default: return StringPrototypeValueOf(value);
  }
};

const typedArrayTags = {
  __proto__: null,
  Int8Array: true, Uint8Array: true, Uint8ClampedArray: true, Int16Array: true, Uint16Array: true,
  Int32Array: true, Uint32Array: true, Float16Array: true, Float32Array: true, Float64Array: true,
  BigInt64Array: true, BigUint64Array: true,
};

const hookOf = (value) => {
  for (let i = 0; i < inspectHooks.length; i++) {
    const found = inspectHooks[i](value);
    if (found !== undefined) return found;
  }
  return undefined;
};

// How an object of each kind is shown: `base` stands before the braces, or alone when there is
// nothing to put between them; `fill` adds what is there besides properties.
const shapeOf = (state, value, depth) => {
  const tag = typeTag(value);
  const shape = {
    base: "", open: "{", close: "}", empty: undefined, fill: undefined, isArray: false,
    keys: undefined, hasElements: false, skip: undefined, hidden: undefined, shortName: undefined,
    alignRight: false,
  };
  const identity = identify(value);
  shape.shortName = () => {
    const fallback = tag === "Array" ? "Array" : "Object";
    const name = StringPrototypeSlice(prefixOf(identity, fallback), 0, -1);
    return identity.name === null && identity.tag === "" ? name : `[${name}]`;
  };

  if (typeof value === "function") {
    // V8 counts generators that are asynchronous among the asynchronous functions.
    const type = functionTypes[identity.tag] ?? functionTypes[tag] ?? "Function";
    shape.base = functionText(value, type, identity);
    return shape;
  }
  if (typedArrayTags[tag]) {
    const length = TypedArrayPrototypeGetLength(value);
    identity.tag = tag;
    shape.open = `${prefixOf(identity, tag, `(${length})`)}[`;
    shape.close = "]";
    shape.isArray = true;
    shape.alignRight = true;
    shape.hasElements = true;
    if (length > 0) shape.fill = (entries) => addTypedElements(state, entries, value, length);
    return shape;
  }
  if (boxedNames[tag] !== undefined) {
    const boxed = boxedValue(tag, value);
    shape.base = boxedText(boxedNames[tag], identity, primitiveText(state, boxed));
    if (tag === "StringObject") shape.hasElements = true;
    return shape;
  }
  switch (tag) {
    case "Array": {
      const plain = identity.name === "Array" && identity.tag === "";
      shape.open = plain ? "[" : `${prefixOf(identity, "Array", `(${value.length})`)}[`;
      shape.close = "]";
      shape.isArray = true;
      shape.hasElements = true;
      if (value.length > 0) shape.fill = (entries) => addElements(state, entries, value, depth);
      return shape;
    }
    case "Arguments":
      shape.open = "[Arguments] {";
      return shape;
    case "Map": {
      const size = MapPrototypeGetSize(value);
      shape.open = `${prefixOf(identity, "Map", `(${size})`)}{`;
      if (size > 0) shape.fill = (entries) => addMapEntries(state, entries, value, depth);
      return shape;
    }
    case "Set": {
      const size = SetPrototypeGetSize(value);
      shape.open = `${prefixOf(identity, "Set", `(${size})`)}{`;
      if (size > 0) shape.fill = (entries) => addSetEntries(state, entries, value, depth);
      return shape;
    }
    case "MapIterator":
    case "SetIterator": {
      const preview = previewEntries(value);
      const kind = tag === "MapIterator" ? "Map" : "Set";
      const title = preview[1] ? `${kind} Entries` : identity.tag || `${kind} Iterator`;
      shape.open = `[${title}] {`;
      shape.fill = (entries) => addIteratorEntries(state, entries, preview, depth);
      return shape;
    }
    case "NativeError": {
      const error = internal.errorShape(value, identity, state.indentation);
      shape.base = error.base;
      shape.keys = error.keys;
      shape.skip = error.skip;
      shape.hidden = error.hidden;
      return shape;
    }
    case "Date":
    case "RegExp": {
      const text = tag === "Date" ? dateText(value) : regExpText(value);
      const plain = identity.name === tag && identity.tag === "";
      shape.base = plain ? text : `${prefixOf(identity, tag)}${text}`;
      return shape;
    }
    case "Promise":
      shape.open = `${prefixOf(identity, "Promise")}{`;
      shape.fill = (entries) => addPromiseState(state, entries, value, depth);
      return shape;
    case "ArrayBuffer":
    case "SharedArrayBuffer": {
      const size = tag === "ArrayBuffer"
        ? ArrayBufferPrototypeGetByteLength(value)
        : SharedArrayBufferPrototypeGetByteLength(value);
      shape.open = `${prefixOf(identity, tag)}{`;
      shape.fill = (entries) => addBufferEntries(state, entries, value, size);
      return shape;
    }
    case "DataView":
      shape.open = `${prefixOf(identity, "DataView")}{`;
      shape.fill = (entries) => {
        try {
          const size = DataViewPrototypeGetByteLength(value);
          const offset = DataViewPrototypeGetByteOffset(value);
          entries[entries.length] = charge(state, `byteLength: ${size}`);
          entries[entries.length] = charge(state, `byteOffset: ${offset}`);
        } catch {
          entries[entries.length] = charge(state, "(detached)");
        }
        const buffer = nested(state, DataViewPrototypeGetBuffer(value), depth);
        entries[entries.length] = `buffer: ${buffer}`;
      };
      return shape;
    case "WeakMap":
    case "WeakSet":
      shape.open = `${prefixOf(identity, tag)}{`;
      shape.fill = (entries) => {
        entries[entries.length] = charge(state, "<items unknown>");
      };
      return shape;
    case "ModuleNamespace":
      shape.open = "[Module: null prototype] {";
      return shape;
    case "External":
      shape.base = "[External]";
      return shape;
  }
  const hook = identity.name === "Object" && identity.tag === "" ? undefined : hookOf(value);
  if (hook !== undefined) {
    shape.open = `${prefixOf(identity, "Object")}{`;
    shape.empty = `${shape.open}}`;
    if (hook.pairs !== undefined) {
      shape.fill = (entries) => addHookPairs(state, entries, hook, depth);
    }
    return shape;
  }
  if (identity.name === "Object" && identity.tag === "") {
    shape.empty = "{}";
  } else {
    shape.open = `${prefixOf(identity, "Object")}{`;
  }
  return shape;
};

const keysOf = (value, shape) => {
  if (shape.keys !== undefined) return shape.keys;
  if (shape.hasElements) return nonIndexKeys(value);
  return ReflectOwnKeys(value);
};

const inspectObject = (state, value, depth) => {
  const shape = shapeOf(state, value, depth + 1);
  let keys;
  if (shape.fill === undefined) {
    keys = keysOf(value, shape);
    if (!hasProperties(value, keys, shape.skip, shape.hidden)) {
      if (shape.base !== "") return charge(state, shape.base);
      return charge(state, shape.empty ?? `${shape.open}${shape.close}`);
    }
  }
  if (depth > state.depthMax) return charge(state, shape.shortName());

  const { ancestors } = state;
  ancestors[ancestors.length] = value;
  state.lastDepth = depth;
  charge(state, shape.base);
  const entries = list();
  const fixed = shape.fill !== undefined ? shape.fill(entries) : 0;
  const elements = entries.length;
  keys ??= keysOf(value, shape);
  addProperties(state, entries, value, keys, depth + 1, shape.skip, shape.hidden);
  ancestors.length--;

  let { base, open } = shape;
  if (state.circular !== undefined) {
    const index = MapPrototypeGet(state.circular, value);
    if (index !== undefined) base = base === "" ? `<ref *${index}>` : `<ref *${index}> ${base}`;
  }
  let columns;
  if (shape.isArray) {
    const alignRight = shape.alignRight || isNumeric(value, elements - fixed);
    columns = { fixed: fixed + entries.length - elements, alignRight };
  }
  const levelsBelow = state.lastDepth - depth;
  return layOut(entries, base, open, shape.close, state.indentation, levelsBelow, columns);
};

// Whether the first `count` elements are all numbers: these are aligned at the right.
const isNumeric = (array, count) => {
  for (let i = 0; i < count; i++) {
    const type = typeof ownData(array, i);
    if (type !== "number" && type !== "bigint") return false;
  }
  return true;
};

const inspectValue = (state, value, depth) => {
  if (state.charsLeft < 0) return "...";
  if (value === null || (typeof value !== "object" && typeof value !== "function")) {
    return charge(state, primitiveText(state, value));
  }
  let object = value;
  if (isProxy(value)) {
    object = behindProxies(value);
    if (object === null) return charge(state, "<Revoked Proxy>");
  }
  const { ancestors } = state;
  for (let i = 0; i < ancestors.length; i++) {
    if (ancestors[i] !== object) continue;
    state.circular ??= new Map();
    let index = MapPrototypeGet(state.circular, object);
    if (index === undefined) {
      index = ++state.circularCount;
      MapPrototypeSet(state.circular, object, index);
    }
    return charge(state, `[Circular *${index}]`);
  }
  return inspectObject(state, object, depth);
};

// What a hook gives: `pairs` is a list of names (of a map, keys) and values in turn, or undefined;
// `hasJson` tells that JSON.stringify gives the value a meaning.
internal.shownAs = (pairs, isMap = false, hasJson = false) => ({ pairs, isMap, hasJson });
internal.inspectValue = inspectValue;
internal.inspectInto = (state, value) => inspectValue(state, value, 0);
internal.inspect = (value, depthMax, charsMax) => {
  return inspectValue(newInspection(depthMax, charsMax), value, 0);
};
internal.hookOf = hookOf;
internal.typedArrayTags = typedArrayTags;
