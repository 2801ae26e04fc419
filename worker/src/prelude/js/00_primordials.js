// The built-ins that the prelude uses, taken before any user code can replace them.
//
// `XPrototypeY(self, ...)` is the method Y of X with `this` as its first argument.

const { getOwnPropertyDescriptor, ownKeys, defineProperty, apply } = Reflect;
const uncurryThis = Function.prototype.bind.bind(Function.prototype.call);

const p = { __proto__: null, uncurryThis };

const statics = (prefix, holder, names) => {
  for (let i = 0; i < names.length; i++) {
    const name = names[i];
    if (typeof holder[name] !== "function") throw new TypeError(`no built-in ${prefix}.${name}`);
    p[`${prefix}${name[0].toUpperCase()}${name.slice(1)}`] = holder[name];
  }
};

const methods = (prefix, holder, names) => {
  for (let i = 0; i < names.length; i++) {
    const name = names[i];
    const method = getOwnPropertyDescriptor(holder, name)?.value;
    if (typeof method !== "function") throw new TypeError(`no built-in ${prefix}.${name}`);
    p[`${prefix}Prototype${name[0].toUpperCase()}${name.slice(1)}`] = uncurryThis(method);
  }
};

const getter = (name, holder, key) => {
  p[name] = uncurryThis(getOwnPropertyDescriptor(holder, key).get);
};

statics("Reflect", Reflect, [
  "apply", "construct", "defineProperty", "getOwnPropertyDescriptor", "getPrototypeOf", "ownKeys",
]);
statics("Object", Object, ["create", "is", "setPrototypeOf"]);
// `Object.defineProperty` throws where `Reflect.defineProperty` answers false.
p.ObjectDefineProperty = Object.defineProperty;
p.ObjectHasOwn = Object.hasOwn;
p.ArrayIsArray = Array.isArray;
p.ArrayBufferIsView = ArrayBuffer.isView;
p.JSONParse = JSON.parse;
p.JSONStringify = JSON.stringify;
p.NumberIsFinite = Number.isFinite;
p.NumberParseFloat = Number.parseFloat;
p.NumberParseInt = Number.parseInt;
p.SymbolIterator = Symbol.iterator;
p.SymbolToStringTag = Symbol.toStringTag;
p.StringFromCharCode = String.fromCharCode;
statics("Math", Math, ["floor", "max", "min", "round", "sqrt", "trunc"]);

methods("Array", Array.prototype, ["sort"]);
methods("BigInt", BigInt.prototype, ["valueOf"]);
methods("Boolean", Boolean.prototype, ["valueOf"]);
methods("Date", Date.prototype, ["getTime", "toISOString"]);
methods("Function", Function.prototype, ["toString"]);
methods("Map", Map.prototype, ["clear", "delete", "get", "has", "set"]);
methods("Number", Number.prototype, ["toFixed", "toString", "valueOf"]);
methods("Promise", Promise.prototype, ["then"]);
methods("Set", Set.prototype, ["add", "delete"]);
methods("String", String.prototype, [
  "charCodeAt", "codePointAt", "endsWith", "includes", "indexOf", "padEnd", "padStart", "repeat",
  "slice", "startsWith", "toUpperCase", "toWellFormed", "valueOf",
]);
methods("Symbol", Symbol.prototype, ["toString", "valueOf"]);
methods("Map", Map.prototype, ["entries"]);
methods("Set", Set.prototype, ["values"]);
const { getPrototypeOf } = Reflect;
p.MapIteratorPrototypeNext = uncurryThis(getPrototypeOf(new Map().entries()).next);
p.SetIteratorPrototypeNext = uncurryThis(getPrototypeOf(new Set().values()).next);
methods("WeakRef", WeakRef.prototype, ["deref"]);

const TypedArray = getPrototypeOf(Uint8Array);
methods("TypedArray", TypedArray.prototype, ["set"]);
getter("TypedArrayPrototypeGetBuffer", TypedArray.prototype, "buffer");
getter("TypedArrayPrototypeGetByteLength", TypedArray.prototype, "byteLength");
getter("TypedArrayPrototypeGetByteOffset", TypedArray.prototype, "byteOffset");
getter("TypedArrayPrototypeGetLength", TypedArray.prototype, "length");
getter("TypedArrayPrototypeGetToStringTag", TypedArray.prototype, Symbol.toStringTag);
getter("DataViewPrototypeGetBuffer", DataView.prototype, "buffer");
getter("DataViewPrototypeGetByteLength", DataView.prototype, "byteLength");
getter("DataViewPrototypeGetByteOffset", DataView.prototype, "byteOffset");
getter("ArrayBufferPrototypeGetByteLength", ArrayBuffer.prototype, "byteLength");
getter("SharedArrayBufferPrototypeGetByteLength", SharedArrayBuffer.prototype, "byteLength");
// `flags` would read the properties of the expression; these read its own slots.
const regExpGetters = [
  "source", "hasIndices", "global", "ignoreCase", "multiline", "dotAll", "unicode", "unicodeSets",
  "sticky",
];
for (let i = 0; i < regExpGetters.length; i++) {
  const name = regExpGetters[i];
  getter(`RegExpPrototypeGet${name[0].toUpperCase()}${name.slice(1)}`, RegExp.prototype, name);
}
getter("MapPrototypeGetSize", Map.prototype, "size");
getter("SetPrototypeGetSize", Set.prototype, "size");

const kept = {
  __proto__: null, Error, Int32Array, Map, Number, Promise, RangeError, Set, TypeError, Uint8Array,
  WeakRef,
};
const keptNames = ownKeys(kept);
for (let i = 0; i < keptNames.length; i++) p[keptNames[i]] = kept[keptNames[i]];
p.ArrayPrototype = Array.prototype;
p.ErrorPrototype = Error.prototype;
p.FunctionPrototype = Function.prototype;
p.ObjectPrototype = Object.prototype;
p.RangeErrorPrototype = RangeError.prototype;
p.ErrorCaptureStackTrace = Error.captureStackTrace;
p.globalThis = globalThis;
p.IteratorPrototype = Iterator.prototype;

// V8 gives errors an own accessor named `stack`; this getter is the only one that is known to be
// its own. It runs no user code but `Error.prepareStackTrace`.
const stackDescriptor = getOwnPropertyDescriptor(new Error("e"), "stack");
p.errorStackGetter = stackDescriptor?.get;

const { ObjectSetPrototypeOf } = p;

// An array that inherits nothing: a setter that user code puts on `Array.prototype[0]` or on
// `Object.prototype[0]` does not see its elements. `list[list.length] = value` adds one.
p.list = () => ObjectSetPrototypeOf([], null);

// Records of the prelude are plain literals with all their fields, for those are own and V8 keeps
// them compact; `__proto__: null` makes a hash table and stays for tables and descriptors.

// A data property that does not depend on what user code put on `Object.prototype`.
p.define = (target, key, value, enumerable = false) => {
  p.ObjectDefineProperty(target, key, {
    __proto__: null, value, writable: true, enumerable, configurable: true,
  });
};

p.defineGlobal = (name, value) => p.define(globalThis, name, value);

// What WebIDL asks of an interface: its members are enumerable, its tag is not writable.
p.webidlInterface = (constructor, tag = constructor.name) => {
  const members = constructor.prototype;
  const keys = ownKeys(members);
  for (let i = 0; i < keys.length; i++) {
    if (keys[i] === "constructor" || typeof keys[i] === "symbol") continue;
    const descriptor = ObjectSetPrototypeOf(getOwnPropertyDescriptor(members, keys[i]), null);
    descriptor.enumerable = true;
    defineProperty(members, keys[i], descriptor);
  }
  defineProperty(members, Symbol.toStringTag, {
    __proto__: null, value: tag, writable: false, enumerable: false, configurable: true,
  });
  const own = ownKeys(constructor);
  for (let i = 0; i < own.length; i++) {
    const key = own[i];
    if (key === "length" || key === "name" || key === "prototype" || typeof key === "symbol") {
      continue;
    }
    const descriptor = ObjectSetPrototypeOf(getOwnPropertyDescriptor(constructor, key), null);
    descriptor.enumerable = true;
    defineProperty(constructor, key, descriptor);
  }
};

// ToString of a string that may hold lone surrogates, as WebIDL's USVString.
p.toUSVString = (value) => p.StringPrototypeToWellFormed(`${value}`);

p.requireArguments = (given, needed, what) => {
  if (given < needed) {
    const noun = needed === 1 ? "argument" : "arguments";
    throw new p.TypeError(`${what}: ${needed} ${noun} required, but only ${given} present`);
  }
};

// WebIDL's dictionary conversion: undefined and null are an empty one, other primitives are none.
p.requireDictionary = (value, what) => {
  if (value === undefined || value === null) return null;
  if (typeof value !== "object" && typeof value !== "function") {
    throw new p.TypeError(`${what}: the options must be an object`);
  }
  return value;
};

// Calls `visit` with each value of an iterable of user code. Runs user code, as it must.
p.iterate = (iterable, method, visit) => {
  const iterator = apply(method, iterable, []);
  if (iterator === null || (typeof iterator !== "object" && typeof iterator !== "function")) {
    throw new p.TypeError("the iterator is not an object");
  }
  const next = iterator.next;
  for (;;) {
    const step = apply(next, iterator, []);
    if (step === null || (typeof step !== "object" && typeof step !== "function")) {
      throw new p.TypeError("the iterator's result is not an object");
    }
    if (step.done) return;
    let visited = false;
    try {
      visit(step.value);
      visited = true;
    } finally {
      if (!visited) {
        try {
          const end = iterator.return;
          if (end !== undefined && end !== null) apply(end, iterator, []);
        } catch {
          // The first exception is the one that counts.
        }
      }
    }
  }
};

// The prototype that the iterators of one interface share. `step(state)` gives undefined at the
// end, else what the iterator yields.
p.iteratorClass = (tag, step) => {
  const Stamp = function (object) {
    return object;
  };
  class State extends Stamp {
    #state;
    constructor(object, state) {
      super(object);
      this.#state = state;
    }
    static step(object) {
      if (!(#state in object)) throw new p.TypeError("Illegal invocation");
      return step(object.#state);
    }
  }
  const prototype = p.ObjectCreate(p.IteratorPrototype);
  const { next } = {
    next() {
      const value = State.step(this);
      return value === undefined ? { value: undefined, done: true } : { value, done: false };
    },
  };
  p.define(prototype, "next", next, true);
  defineProperty(prototype, Symbol.toStringTag, {
    __proto__: null, value: tag, writable: false, enumerable: false, configurable: true,
  });
  return (state) => {
    const iterator = p.ObjectCreate(prototype);
    new State(iterator, state);
    return iterator;
  };
};

internal.primordials = p;

// Functions that know how a class of the prelude is shown: `(object) => shownAs(…) or undefined`.
// The files that follow add theirs.
internal.inspectHooks = p.list();
