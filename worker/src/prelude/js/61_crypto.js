// crypto: random values, UUIDs and digests.

const {
  ArrayBufferIsView, NumberPrototypeToString, ObjectCreate, Promise, StringPrototypeToUpperCase,
  TypeError, TypedArrayPrototypeGetBuffer, TypedArrayPrototypeGetByteLength,
  TypedArrayPrototypeGetByteOffset, TypedArrayPrototypeGetToStringTag, TypedArrayPrototypeSet,
  Uint8Array, defineGlobal, requireArguments, webidlInterface,
} = internal.primordials;
const { bytesOf, domException, inspectHooks, shownAs } = internal;
const { digest: hostDigest, fillRandom } = host;

const RANDOM_BYTES_MAX = 65_536;

const integerArrays = {
  __proto__: null,
  Int8Array: true, Uint8Array: true, Uint8ClampedArray: true, Int16Array: true, Uint16Array: true,
  Int32Array: true, Uint32Array: true, BigInt64Array: true, BigUint64Array: true,
};

const Stamp = function (object) {
  return object;
};
class Brand extends Stamp {
  #kind;
  constructor(object, kind) {
    super(object);
    this.#kind = kind;
  }
  static is(value, kind) {
    return value !== null && (typeof value === "object" || typeof value === "function") &&
      #kind in value && value.#kind === kind;
  }
  static check(value, kind) {
    if (!Brand.is(value, kind)) throw new TypeError("Illegal invocation");
  }
}

const hex = [];
for (let i = 0; i < 256; i++) hex[i] = (i < 16 ? "0" : "") + NumberPrototypeToString(i, 16);

class Crypto {
  constructor() {
    throw new TypeError("Illegal constructor");
  }
  get subtle() {
    Brand.check(this, "Crypto");
    return subtle;
  }
  getRandomValues(array) {
    Brand.check(this, "Crypto");
    requireArguments(arguments.length, 1, "Crypto.getRandomValues");
    // The getter is undefined for what is no typed array.
    const tag = TypedArrayPrototypeGetToStringTag(array);
    if (tag === undefined || !integerArrays[tag]) {
      if (tag === undefined && !ArrayBufferIsView(array)) {
        throw new TypeError("Crypto.getRandomValues: the argument must be a typed array");
      }
      throw domException(
        "Crypto.getRandomValues: the array must be one of integers",
        "TypeMismatchError",
      );
    }
    const length = TypedArrayPrototypeGetByteLength(array);
    if (length > RANDOM_BYTES_MAX) {
      throw domException(
        `Crypto.getRandomValues: ${length} bytes are more than ${RANDOM_BYTES_MAX}`,
        "QuotaExceededError",
      );
    }
    if (length > 0) {
      const buffer = TypedArrayPrototypeGetBuffer(array);
      fillRandom(new Uint8Array(buffer, TypedArrayPrototypeGetByteOffset(array), length));
    }
    return array;
  }
  randomUUID() {
    Brand.check(this, "Crypto");
    const bytes = new Uint8Array(16);
    fillRandom(bytes);
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let text = "";
    for (let i = 0; i < 16; i++) {
      if (i === 4 || i === 6 || i === 8 || i === 10) text += "-";
      text += hex[bytes[i]];
    }
    return text;
  }
}

const algorithmName = (algorithm) => {
  if (algorithm === null || (typeof algorithm !== "object" && typeof algorithm !== "function")) {
    return StringPrototypeToUpperCase(`${algorithm}`);
  }
  const { name } = algorithm;
  if (name === undefined) throw new TypeError("SubtleCrypto.digest: the algorithm has no name");
  return StringPrototypeToUpperCase(`${name}`);
};

class SubtleCrypto {
  constructor() {
    throw new TypeError("Illegal constructor");
  }
  digest(algorithm, data) {
    const given = arguments.length;
    return new Promise((resolve) => {
      Brand.check(this, "SubtleCrypto");
      requireArguments(given, 2, "SubtleCrypto.digest");
      const name = algorithmName(algorithm);
      const source = bytesOf(data, "SubtleCrypto.digest");
      const copy = new Uint8Array(TypedArrayPrototypeGetByteLength(source));
      TypedArrayPrototypeSet(copy, source, 0);
      const result = hostDigest(name, copy);
      if (result === undefined) {
        throw domException(
          `SubtleCrypto.digest: the algorithm ${internal.text.quote(name)} is not supported`,
          "NotSupportedError",
        );
      }
      resolve(result);
    });
  }
}

const crypto = ObjectCreate(Crypto.prototype);
new Brand(crypto, "Crypto");
const subtle = ObjectCreate(SubtleCrypto.prototype);
new Brand(subtle, "SubtleCrypto");

webidlInterface(Crypto);
webidlInterface(SubtleCrypto);
defineGlobal("Crypto", Crypto);
defineGlobal("SubtleCrypto", SubtleCrypto);
defineGlobal("crypto", crypto);

inspectHooks[inspectHooks.length] = (value) => {
  if (!Brand.is(value, "Crypto") && !Brand.is(value, "SubtleCrypto")) return undefined;
  return shownAs(undefined);
};
