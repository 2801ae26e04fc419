// The value of a run as JSON and as the text that a REPL prints.

const {
  ArrayIsArray, DatePrototypeGetTime, JSONStringify, NumberIsFinite, NumberPrototypeValueOf,
  StringPrototypeEndsWith, StringPrototypeIncludes, StringPrototypeSlice,
  StringPrototypeStartsWith, list,
} = internal.primordials;
const { TEXT_CHARS_MAX, cutMiddle, quote } = internal.text;
const {
  behindProxies, hookOf, identify, inspectInto, isProxy, newInspection, typedArrayTags,
} = internal;
const { typeTag, utf8Length } = host;

const TOO_LONG = { __proto__: null };
const CIRCULAR = { __proto__: null };

// At least 1 and at most what JSON writes for a number.
const numberChars = (value) => {
  const size = value < 0 ? -value : value;
  if (size < 10) return 1;
  if (size < 1e3) return 2;
  return size < 1e6 ? 4 : 5;
};

// JSON.stringify that stops when its text is sure to be longer than `charsMax`; without this, a
// small graph of shared arrays could grow to the largest string there is. Runs user code
// (`toJSON`, getters, traps).
const stringify = (value, charsMax, seesCircles) => {
  // Each item counts its comma; a container counts one brace, for its first item has no comma.
  let left = charsMax + 1;
  const ancestors = list();
  return JSONStringify(value, function (key, item) {
    if (seesCircles) {
      while (ancestors.length > 0 && ancestors[ancestors.length - 1] !== this) ancestors.length--;
      if (item !== null && typeof item === "object") {
        for (let i = 0; i < ancestors.length; i++) if (ancestors[i] === item) throw CIRCULAR;
        ancestors[ancestors.length] = item;
      }
    }
    let chars;
    switch (typeof item) {
      case "string": chars = item.length + 2; break;
      case "number": chars = numberChars(item); break;
      case "boolean": chars = 4; break;
      case "object": chars = item === null ? 4 : 1; break;
      default: return item;
    }
    left -= chars + 1;
    if (left < 0) throw TOO_LONG;
    if (key.length > 0 && !ArrayIsArray(this)) {
      left -= key.length + 3;
      if (left < 0) throw TOO_LONG;
    }
    return item;
  });
};

// For %j: undefined has no JSON.
internal.boundedJson = (value, charsMax) => {
  try {
    return stringify(value, charsMax, true);
  } catch (error) {
    if (error === CIRCULAR) return "[Circular]";
    if (error === TOO_LONG) return "[JSON too long]";
    throw error;
  }
};

const tagsWithoutJson = {
  __proto__: null,
  Map: true, Set: true, WeakMap: true, WeakSet: true, WeakRef: true, MapIterator: true,
  SetIterator: true, Promise: true, RegExp: true, NativeError: true, ArrayBuffer: true,
  SharedArrayBuffer: true, DataView: true, Generator: true, GeneratorObject: true, External: true,
  SymbolObject: true, BigIntObject: true, WasmMemoryObject: true, WasmModuleObject: true,
};

// JSON.stringify gives `{}` or `null` for many values that JSON can't hold; these have none.
const hasJson = (value) => {
  switch (typeof value) {
    case "string": case "boolean": return true;
    case "number": return NumberIsFinite(value);
    case "object": break;
    default: return false;
  }
  if (value === null) return true;
  const object = isProxy(value) ? behindProxies(value) : value;
  if (object === null || typeof object === "function") return false;
  const tag = typeTag(object);
  if (tagsWithoutJson[tag] || typedArrayTags[tag]) return false;
  if (tag === "Date") {
    const time = DatePrototypeGetTime(object);
    return time === time;
  }
  if (tag === "NumberObject") return NumberIsFinite(NumberPrototypeValueOf(object));
  if (tag === "Array") return true;
  const identity = identify(object);
  if (identity.name === "Object" && identity.tag === "") return true;
  if (
    identity.tag === "WeakRef" || StringPrototypeStartsWith(identity.tag, "WebAssembly.") ||
    StringPrototypeStartsWith(identity.tag, "Intl.") ||
    StringPrototypeIncludes(identity.tag, "Iterator") ||
    StringPrototypeEndsWith(identity.tag, "Generator")
  ) {
    return false;
  }
  const hook = hookOf(object);
  return hook === undefined || hook.hasJson === true;
};

const jsonOf = (value, bytesMax) => {
  const result = { json: undefined, tooLong: false };
  if (!hasJson(value)) return result;
  let json;
  try {
    // What is no object holds no code of the user's, and is no larger than it looks.
    const isSmall = typeof value === "number" || typeof value === "boolean";
    json = isSmall ? JSONStringify(value) : stringify(value, bytesMax, false);
  } catch (error) {
    result.tooLong = error === TOO_LONG;
    return result;
  }
  if (json === undefined) return result;
  if (json.length > bytesMax || (json.length * 3 > bytesMax && utf8Length(json) > bytesMax)) {
    result.tooLong = true;
  } else {
    result.json = json;
  }
  return result;
};

const textOf = (value, bytesMax) => {
  const result = { text: "", cut: false, bytes: 0 };
  let text;
  let hidden = 0;
  if (typeof value === "string") {
    const charsMax = bytesMax > TEXT_CHARS_MAX ? bytesMax : TEXT_CHARS_MAX;
    hidden = value.length - 2 * charsMax;
    if (hidden > 0) {
      // The joint lies in the part that is cut out below.
      text = quote(
        StringPrototypeSlice(value, 0, charsMax) +
          StringPrototypeSlice(value, value.length - charsMax),
      );
      result.bytes = utf8Length(value) + 2;
    } else {
      hidden = 0;
      text = quote(value);
    }
  } else {
    const state = newInspection();
    text = inspectInto(state, value);
    result.cut = state.charsLeft < 0;
  }
  if (result.bytes === 0) {
    result.bytes = text.length * 3 <= bytesMax ? text.length : utf8Length(text);
  }
  if (result.bytes > bytesMax) {
    result.cut = true;
    text = cutMiddle(text, bytesMax, hidden);
  }
  result.text = text;
  return result;
};

// `[json or undefined, text, whether one of them was cut, bytes of the whole text, whether the JSON
// is too long]`
internal.render = (value, bytesMax) => {
  const { json, tooLong } = jsonOf(value, bytesMax);
  const { text, cut, bytes } = textOf(value, bytesMax);
  return [json, text, tooLong || cut, bytes, tooLong];
};
