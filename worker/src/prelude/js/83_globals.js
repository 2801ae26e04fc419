// What a realm has by name beside what it came with, for whoever compares two of them. Runs none of its code.

const {
  FunctionPrototypeToString, ObjectHasOwn, ObjectIs, ReflectGetOwnPropertyDescriptor, ReflectOwnKeys,
  globalThis, list,
} = internal.primordials;
const { inspect } = internal;

// More names than that are not told.
const NAMES_MAX = 10000;
// So much of a value counts, and so deep.
const CHARS_MAX = 16384;
const DEPTH_MAX = 8;

const ACCESSOR = { __proto__: null };

// The realm's own names with their values, as they are before any user code.
const own = { __proto__: null };
const dataOf = (key) => {
  const descriptor = ReflectGetOwnPropertyDescriptor(globalThis, key);
  return descriptor !== undefined && ObjectHasOwn(descriptor, "value") ? descriptor.value : ACCESSOR;
};
const ownKeys = ReflectOwnKeys(globalThis);
for (let i = 0; i < ownKeys.length; i++) {
  if (typeof ownKeys[i] === "string") own[ownKeys[i]] = dataOf(ownKeys[i]);
}
// Set anew by each run.
own.input = ACCESSOR;

// A function is what it says: a console shows no more of it than its name.
internal.globalText = (value) => {
  if (typeof value !== "function") return inspect(value, DEPTH_MAX, CHARS_MAX);
  try {
    return FunctionPrototypeToString(value);
  } catch {
    return inspect(value, DEPTH_MAX, CHARS_MAX);
  }
};

// Names and texts in turn.
internal.globals = () => {
  const told = list();
  const keys = ReflectOwnKeys(globalThis);
  for (let i = 0; i < keys.length && told.length < 2 * NAMES_MAX; i++) {
    const key = keys[i];
    if (typeof key !== "string") continue;
    const value = dataOf(key);
    if (key in own && (ObjectIs(value, own[key]) || key === "input")) continue;
    const text = value === ACCESSOR ? "[Accessor]" : internal.globalText(value);
    told[told.length] = key;
    told[told.length] = text;
  }
  return told;
};
