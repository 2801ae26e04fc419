// What stands between the braces: properties, elements, entries of maps and sets, and so on.
// Properties are read by their descriptors; accessors are named and not called.

const {
  MapIteratorPrototypeNext, MapPrototypeEntries, MapPrototypeGetSize, MathMin,
  NumberPrototypeToString, ObjectHasOwn, ObjectSetPrototypeOf, ReflectGetOwnPropertyDescriptor,
  SetIteratorPrototypeNext, SetPrototypeGetSize, SetPrototypeValues, Uint8Array, list,
} = internal.primordials;
const { layOut, plural, pluralEntries } = internal.text;
const { charge, keyText, primitiveText, symbolText } = internal;
const { promiseDetails } = host;

const ENTRIES_MAX = 100;
const BUFFER_BYTES_MAX = 50;
// Indices of one array that are looked at to find entries between its holes.
const HOLES_SCAN_MAX = 1 << 20;

// `inspectValue` is in 14_inspect.js, which comes later.
const nested = (state, value, depth) => {
  state.indentation += 2;
  const text = internal.inspectValue(state, value, depth);
  state.indentation -= 2;
  return text;
};

const descriptorText = (state, descriptor, depth) => {
  if (ObjectHasOwn(descriptor, "value")) return nested(state, descriptor.value, depth);
  const { get, set } = ObjectSetPrototypeOf(descriptor, null);
  let text = "undefined";
  if (get !== undefined) text = set !== undefined ? "[Getter/Setter]" : "[Getter]";
  else if (set !== undefined) text = "[Setter]";
  return charge(state, text);
};

const symbolOrText = (key) => (typeof key === "symbol" ? symbolText(key) : key);

// Adds `key: value` for each enumerable property in `keys`, and for those in `hidden` besides.
const addProperties = (state, entries, object, keys, depth, skip, hidden) => {
  for (let i = 0; i < keys.length; i++) {
    const key = keys[i];
    const isHidden = hidden !== undefined && hidden(key);
    if (skip !== undefined && skip(key)) continue;
    const descriptor = ReflectGetOwnPropertyDescriptor(object, key);
    if (descriptor === undefined || (!descriptor.enumerable && !isHidden)) continue;
    if (state.charsLeft < 0) {
      entries[entries.length] = `... ${pluralEntries(keys.length - i)}`;
      return;
    }
    const name = descriptor.enumerable ? keyText(key) : `[${symbolOrText(key)}]`;
    state.charsLeft -= name.length + 2;
    entries[entries.length] = `${name}: ${descriptorText(state, descriptor, depth)}`;
  }
};

// Whether addProperties would add anything.
const hasProperties = (object, keys, skip, hidden) => {
  for (let i = 0; i < keys.length; i++) {
    if (skip !== undefined && skip(keys[i])) continue;
    const descriptor = ReflectGetOwnPropertyDescriptor(object, keys[i]);
    if (descriptor === undefined) continue;
    if (descriptor.enumerable || (hidden !== undefined && hidden(keys[i]))) return true;
  }
  return false;
};

// Adds the elements; gives how many entries at the end are no elements ("... more items").
const addElements = (state, entries, array, depth) => {
  const { length } = array;
  let i = 0;
  while (i < length && entries.length < ENTRIES_MAX && state.charsLeft >= 0) {
    const descriptor = ReflectGetOwnPropertyDescriptor(array, i);
    if (descriptor !== undefined) {
      entries[entries.length] = descriptorText(state, descriptor, depth);
      i++;
      continue;
    }
    const first = i;
    const end = MathMin(length, HOLES_SCAN_MAX);
    do i++; while (i < end && !ObjectHasOwn(array, i));
    const count = i - first;
    entries[entries.length] = charge(state, `<${count} empty item${count === 1 ? "" : "s"}>`);
    if (i >= HOLES_SCAN_MAX) break;
  }
  if (i >= length) return 0;
  entries[entries.length] = `... ${plural(length - i, "item")}`;
  return 1;
};

const addTypedElements = (state, entries, array, length) => {
  const shown = MathMin(length, ENTRIES_MAX);
  for (let i = 0; i < shown; i++) {
    entries[entries.length] = charge(state, primitiveText(state, array[i]));
  }
  if (shown === length) return 0;
  entries[entries.length] = `... ${plural(length - shown, "item")}`;
  return 1;
};

const addMapEntries = (state, entries, map, depth) => {
  const size = MapPrototypeGetSize(map);
  const iterator = MapPrototypeEntries(map);
  for (let i = 0; i < size; i++) {
    if (i >= ENTRIES_MAX || state.charsLeft < 0) {
      entries[entries.length] = `... ${plural(size - i, "item")}`;
      return;
    }
    const pair = MapIteratorPrototypeNext(iterator).value;
    const key = nested(state, pair[0], depth);
    entries[entries.length] = `${key} => ${nested(state, pair[1], depth)}`;
  }
};

const addSetEntries = (state, entries, set, depth) => {
  const size = SetPrototypeGetSize(set);
  const iterator = SetPrototypeValues(set);
  for (let i = 0; i < size; i++) {
    if (i >= ENTRIES_MAX || state.charsLeft < 0) {
      entries[entries.length] = `... ${plural(size - i, "item")}`;
      return;
    }
    entries[entries.length] = nested(state, SetIteratorPrototypeNext(iterator).value, depth);
  }
};

// What is left in an iterator of a map or a set; the iterator does not move.
const addIteratorEntries = (state, entries, preview, depth) => {
  const rest = preview[0];
  const step = preview[1] ? 2 : 1;
  for (let i = 0; i < rest.length; i += step) {
    if (i >= ENTRIES_MAX * step || state.charsLeft < 0) {
      entries[entries.length] = `... ${plural((rest.length - i) / step, "item")}`;
      return;
    }
    if (step === 1) {
      entries[entries.length] = nested(state, rest[i], depth);
    } else {
      state.indentation += 2;
      const pair = list();
      pair[0] = nested(state, rest[i], depth);
      pair[1] = nested(state, rest[i + 1], depth);
      entries[entries.length] = layOut(pair, "", "[", "]", state.indentation, 0);
      state.indentation -= 2;
    }
  }
};

const addBufferEntries = (state, entries, buffer, size) => {
  let contents;
  try {
    contents = new Uint8Array(buffer);
  } catch {
    entries[entries.length] = charge(state, "(detached)");
  }
  if (contents !== undefined) {
    const shown = MathMin(size, BUFFER_BYTES_MAX);
    let text = "[Uint8Contents]: <";
    for (let i = 0; i < shown; i++) {
      const digits = NumberPrototypeToString(contents[i], 16);
      text += `${i === 0 ? "" : " "}${digits.length < 2 ? "0" : ""}${digits}`;
    }
    if (size > shown) text += ` ... ${plural(size - shown, "byte")}`;
    entries[entries.length] = charge(state, `${text}>`);
  }
  entries[entries.length] = charge(state, `byteLength: ${size}`);
};

const addPromiseState = (state, entries, promise, depth) => {
  const details = promiseDetails(promise);
  if (details[0] === 0) {
    entries[entries.length] = charge(state, "<pending>");
    return;
  }
  const text = nested(state, details[1], depth);
  entries[entries.length] = details[0] === 1 ? text : `<rejected> ${text}`;
};

// What a class of the prelude shows of itself: names and values, or keys and values as of a map.
const addHookPairs = (state, entries, hook, depth) => {
  const { pairs } = hook;
  for (let i = 0; i < pairs.length; i += 2) {
    if (state.charsLeft < 0 || i >= 2 * ENTRIES_MAX) {
      entries[entries.length] = `... ${plural((pairs.length - i) / 2, "item")}`;
      return;
    }
    const text = nested(state, pairs[i + 1], depth);
    entries[entries.length] = hook.isMap
      ? `${nested(state, pairs[i], depth)} => ${text}`
      : `${pairs[i]}: ${text}`;
  }
};

internal.nested = nested;
internal.addProperties = addProperties;
internal.hasProperties = hasProperties;
internal.addElements = addElements;
internal.addTypedElements = addTypedElements;
internal.addMapEntries = addMapEntries;
internal.addSetEntries = addSetEntries;
internal.addIteratorEntries = addIteratorEntries;
internal.addBufferEntries = addBufferEntries;
internal.addPromiseState = addPromiseState;
internal.addHookPairs = addHookPairs;
