// URLSearchParams: a list of names and values, and their form in a query.

const {
  ArrayPrototypeSort, NumberPrototypeToString, ReflectApply,
  ReflectGetOwnPropertyDescriptor, ReflectOwnKeys, StringFromCharCode, StringPrototypeCharCodeAt,
  StringPrototypeIncludes, StringPrototypeIndexOf, StringPrototypeSlice,
  StringPrototypeToUpperCase, SymbolIterator, TypeError,
  TypedArrayPrototypeGetBuffer, TypedArrayPrototypeGetByteLength, Uint8Array, define, defineGlobal,
  iterate, iteratorClass, list, requireArguments, toUSVString, webidlInterface,
} = internal.primordials;
const { inspectHooks, shownAs } = internal;
const { decode, utf8Encode } = host;

const hexValue = (code) => {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  if (code >= 0x41 && code <= 0x46) return code - 0x37;
  return code >= 0x61 && code <= 0x66 ? code - 0x57 : -1;
};

// `+` is a space and `%XX` a byte of UTF-8.
const decodePart = (text) => {
  if (!StringPrototypeIncludes(text, "%") && !StringPrototypeIncludes(text, "+")) return text;
  const source = utf8Encode(text);
  const length = TypedArrayPrototypeGetByteLength(source);
  const bytes = new Uint8Array(length);
  let end = 0;
  for (let i = 0; i < length; i++) {
    let byte = source[i];
    if (byte === 0x2b) {
      byte = 0x20;
    } else if (byte === 0x25 && i + 2 < length) {
      const high = hexValue(source[i + 1]);
      const low = hexValue(source[i + 2]);
      if (high !== -1 && low !== -1) {
        byte = high * 16 + low;
        i += 2;
      }
    }
    bytes[end++] = byte;
  }
  return decode("utf-8", new Uint8Array(TypedArrayPrototypeGetBuffer(bytes), 0, end), false, true);
};

const isUnreserved = (code) =>
  (code >= 0x61 && code <= 0x7a) || (code >= 0x41 && code <= 0x5a) ||
  (code >= 0x30 && code <= 0x39) || code === 0x2a || code === 0x2d || code === 0x2e ||
  code === 0x5f;

const encodePart = (text) => {
  let plain = true;
  for (let i = 0; i < text.length && plain; i++) {
    plain = isUnreserved(StringPrototypeCharCodeAt(text, i));
  }
  if (plain) return text;
  const bytes = utf8Encode(text);
  const length = TypedArrayPrototypeGetByteLength(bytes);
  let result = "";
  for (let i = 0; i < length; i++) {
    const byte = bytes[i];
    if (isUnreserved(byte)) {
      result += StringFromCharCode(byte);
    } else if (byte === 0x20) {
      result += "+";
    } else {
      const digits = StringPrototypeToUpperCase(NumberPrototypeToString(byte, 16));
      result += `%${digits.length < 2 ? "0" : ""}${digits}`;
    }
  }
  return result;
};

// Names and values take turns.
const parse = (query) => {
  const entries = list();
  let from = 0;
  while (from <= query.length) {
    let end = StringPrototypeIndexOf(query, "&", from);
    if (end === -1) end = query.length;
    if (end > from) {
      const part = StringPrototypeSlice(query, from, end);
      const equals = StringPrototypeIndexOf(part, "=");
      const name = equals === -1 ? part : StringPrototypeSlice(part, 0, equals);
      entries[entries.length] = decodePart(name);
      entries[entries.length] =
        equals === -1 ? "" : decodePart(StringPrototypeSlice(part, equals + 1));
    }
    from = end + 1;
  }
  return entries;
};

const serialize = (entries) => {
  let result = "";
  for (let i = 0; i < entries.length; i += 2) {
    result += `${i === 0 ? "" : "&"}${encodePart(entries[i])}=${encodePart(entries[i + 1])}`;
  }
  return result;
};

const isObject = (value) => {
  return value !== null && (typeof value === "object" || typeof value === "function");
};

const fromPairs = (init, method) => {
  const entries = list();
  iterate(init, method, (pair) => {
    if (!isObject(pair)) throw new TypeError("URLSearchParams: each entry must be a pair");
    const pairMethod = pair[SymbolIterator];
    if (typeof pairMethod !== "function") {
      throw new TypeError("URLSearchParams: each entry must be a pair");
    }
    let count = 0;
    iterate(pair, pairMethod, (item) => {
      entries[entries.length] = toUSVString(item);
      if (++count > 2) throw new TypeError("URLSearchParams: each entry must be a pair");
    });
    if (count !== 2) throw new TypeError("URLSearchParams: each entry must be a pair");
  });
  return entries;
};

// A record: of two names that are the same after conversion, the last value stays.
const fromRecord = (init) => {
  const entries = list();
  const keys = ReflectOwnKeys(init);
  for (let i = 0; i < keys.length; i++) {
    const descriptor = ReflectGetOwnPropertyDescriptor(init, keys[i]);
    if (descriptor === undefined || !descriptor.enumerable) continue;
    const name = toUSVString(keys[i]);
    const value = toUSVString(init[keys[i]]);
    let at = 0;
    while (at < entries.length && entries[at] !== name) at += 2;
    entries[at] = name;
    entries[at + 1] = value;
  }
  return entries;
};

const KEYS = 0;
const VALUES = 1;

const createIterator = iteratorClass("URLSearchParams Iterator", (state) => {
  const entries = entriesOf(state.params);
  const at = state.at;
  if (at >= entries.length) return undefined;
  state.at += 2;
  if (state.kind === KEYS) return entries[at];
  if (state.kind === VALUES) return entries[at + 1];
  return [entries[at], entries[at + 1]];
});

const iteratorOf = (params, kind) => createIterator({ params, kind, at: 0 });

let entriesOf;
let setEntries;
let createFor;

class URLSearchParams {
  #entries;
  // Called after each change; tells the URL that owns the list.
  #changed = undefined;

  constructor(init = "") {
    if (isObject(init)) {
      const method = init[SymbolIterator];
      if (method !== undefined && method !== null) {
        if (typeof method !== "function") {
          throw new TypeError("URLSearchParams: the value is not iterable");
        }
        this.#entries = fromPairs(init, method);
      } else {
        this.#entries = fromRecord(init);
      }
    } else {
      const text = toUSVString(init);
      this.#entries = parse(text[0] === "?" ? StringPrototypeSlice(text, 1) : text);
    }
  }

  static {
    entriesOf = (params) => (#entries in params ? params.#entries : undefined);
    setEntries = (params, query) => {
      params.#entries = parse(query);
    };
    createFor = (query, changed) => {
      const params = new URLSearchParams();
      params.#entries = parse(query);
      params.#changed = changed;
      return params;
    };
  }

  #update() {
    const changed = this.#changed;
    if (changed !== undefined) changed(serialize(this.#entries));
  }

  get size() {
    return this.#entries.length / 2;
  }
  append(name, value) {
    const entries = this.#entries;
    requireArguments(arguments.length, 2, "URLSearchParams.append");
    const key = toUSVString(name);
    const text = toUSVString(value);
    entries[entries.length] = key;
    entries[entries.length] = text;
    this.#update();
  }
  delete(name, value = undefined) {
    this.#entries;
    requireArguments(arguments.length, 1, "URLSearchParams.delete");
    const key = toUSVString(name);
    const text = value === undefined ? undefined : toUSVString(value);
    const old = this.#entries;
    const kept = list();
    for (let i = 0; i < old.length; i += 2) {
      if (old[i] === key && (text === undefined || old[i + 1] === text)) continue;
      kept[kept.length] = old[i];
      kept[kept.length] = old[i + 1];
    }
    this.#entries = kept;
    this.#update();
  }
  get(name) {
    this.#entries;
    requireArguments(arguments.length, 1, "URLSearchParams.get");
    const key = toUSVString(name);
    const entries = this.#entries;
    for (let i = 0; i < entries.length; i += 2) if (entries[i] === key) return entries[i + 1];
    return null;
  }
  getAll(name) {
    this.#entries;
    requireArguments(arguments.length, 1, "URLSearchParams.getAll");
    const key = toUSVString(name);
    const entries = this.#entries;
    const found = [];
    for (let i = 0; i < entries.length; i += 2) {
      if (entries[i] === key) define(found, found.length, entries[i + 1], true);
    }
    return found;
  }
  has(name, value = undefined) {
    this.#entries;
    requireArguments(arguments.length, 1, "URLSearchParams.has");
    const key = toUSVString(name);
    const text = value === undefined ? undefined : toUSVString(value);
    const entries = this.#entries;
    for (let i = 0; i < entries.length; i += 2) {
      if (entries[i] === key && (text === undefined || entries[i + 1] === text)) return true;
    }
    return false;
  }
  set(name, value) {
    this.#entries;
    requireArguments(arguments.length, 2, "URLSearchParams.set");
    const key = toUSVString(name);
    const text = toUSVString(value);
    const old = this.#entries;
    const kept = list();
    let found = false;
    for (let i = 0; i < old.length; i += 2) {
      if (old[i] === key) {
        if (found) continue;
        found = true;
        kept[kept.length] = key;
        kept[kept.length] = text;
      } else {
        kept[kept.length] = old[i];
        kept[kept.length] = old[i + 1];
      }
    }
    if (!found) {
      kept[kept.length] = key;
      kept[kept.length] = text;
    }
    this.#entries = kept;
    this.#update();
  }
  sort() {
    const old = this.#entries;
    const order = list();
    for (let i = 0; i < old.length; i += 2) order[i / 2] = i;
    // By code units of the names; equal names keep their order.
    ArrayPrototypeSort(order, (a, b) => {
      if (old[a] === old[b]) return a - b;
      return old[a] < old[b] ? -1 : 1;
    });
    const sorted = list();
    for (let i = 0; i < order.length; i++) {
      sorted[2 * i] = old[order[i]];
      sorted[2 * i + 1] = old[order[i] + 1];
    }
    this.#entries = sorted;
    this.#update();
  }
  forEach(callback, thisArg = undefined) {
    this.#entries;
    requireArguments(arguments.length, 1, "URLSearchParams.forEach");
    if (typeof callback !== "function") {
      throw new TypeError("URLSearchParams.forEach: the callback must be a function");
    }
    for (let i = 0; i < this.#entries.length; i += 2) {
      ReflectApply(callback, thisArg, [this.#entries[i + 1], this.#entries[i], this]);
    }
  }
  keys() {
    this.#entries;
    return iteratorOf(this, KEYS);
  }
  values() {
    this.#entries;
    return iteratorOf(this, VALUES);
  }
  entries() {
    this.#entries;
    return iteratorOf(this, undefined);
  }
  toString() {
    return serialize(this.#entries);
  }
}

webidlInterface(URLSearchParams);
define(URLSearchParams.prototype, SymbolIterator, URLSearchParams.prototype.entries);
defineGlobal("URLSearchParams", URLSearchParams);

internal.createSearchParams = createFor;
internal.setSearchParams = setEntries;
inspectHooks[inspectHooks.length] = (value) => {
  const entries = entriesOf(value);
  if (entries === undefined) return undefined;
  return shownAs(entries.length === 0 ? undefined : entries, true);
};
