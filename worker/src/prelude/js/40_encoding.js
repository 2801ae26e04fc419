// TextEncoder and TextDecoder. The tables are the host's; what a stream carries from one chunk to
// the next is kept here, so that a decoder is plain data of the heap.

const {
  ArrayBufferIsView, ArrayBufferPrototypeGetByteLength, DataViewPrototypeGetBuffer,
  DataViewPrototypeGetByteLength, DataViewPrototypeGetByteOffset, RangeError,
  SharedArrayBufferPrototypeGetByteLength, TypeError, TypedArrayPrototypeGetBuffer,
  TypedArrayPrototypeGetByteLength, TypedArrayPrototypeGetByteOffset,
  TypedArrayPrototypeGetToStringTag, TypedArrayPrototypeSet, Uint8Array, defineGlobal, list,
  requireArguments, requireDictionary, webidlInterface,
} = internal.primordials;
const { domException, inspectHooks, shownAs } = internal;
const { quote } = internal.text;
const { decode, encodingFor, typeTag, utf8Encode, utf8EncodeInto } = host;

// The bytes of an ArrayBuffer, a SharedArrayBuffer or a view, without copying.
const bytesOf = (source, what) => {
  if (ArrayBufferIsView(source)) {
    if (TypedArrayPrototypeGetToStringTag(source) !== undefined) {
      return new Uint8Array(
        TypedArrayPrototypeGetBuffer(source),
        TypedArrayPrototypeGetByteOffset(source),
        TypedArrayPrototypeGetByteLength(source),
      );
    }
    return new Uint8Array(
      DataViewPrototypeGetBuffer(source),
      DataViewPrototypeGetByteOffset(source),
      DataViewPrototypeGetByteLength(source),
    );
  }
  const tag = source !== null && typeof source === "object" ? typeTag(source) : undefined;
  if (tag === "ArrayBuffer") {
    // A detached buffer has no bytes, and no view can be made of it.
    if (ArrayBufferPrototypeGetByteLength(source) === 0) return new Uint8Array(0);
    return new Uint8Array(source);
  }
  if (tag === "SharedArrayBuffer") {
    return new Uint8Array(source, 0, SharedArrayBufferPrototypeGetByteLength(source));
  }
  throw new TypeError(`${what}: the data must be an ArrayBuffer or a view of one`);
};

class TextEncoder {
  #brand;
  get encoding() {
    this.#brand;
    return "utf-8";
  }
  encode(input = "") {
    this.#brand;
    return utf8Encode(`${input}`);
  }
  encodeInto(source, destination) {
    this.#brand;
    requireArguments(arguments.length, 2, "TextEncoder.encodeInto");
    const text = `${source}`;
    const isBytes = ArrayBufferIsView(destination) &&
      TypedArrayPrototypeGetToStringTag(destination) === "Uint8Array";
    if (!isBytes) {
      throw new TypeError("TextEncoder.encodeInto: the destination must be a Uint8Array");
    }
    const counts = utf8EncodeInto(text, destination);
    return { read: counts[0], written: counts[1] };
  }
  static isTextEncoder(value) {
    return #brand in value;
  }
}
const { isTextEncoder } = TextEncoder;
delete TextEncoder.isTextEncoder;

// How many bytes the sequence has that starts with this byte of UTF-8.
const utf8Length = (lead) => {
  if (lead >= 0xc2 && lead <= 0xdf) return 2;
  if (lead >= 0xe0 && lead <= 0xef) return 3;
  return lead >= 0xf0 && lead <= 0xf4 ? 4 : 1;
};

const isUtf8Continuation = (lead, position, byte) => {
  if (byte < 0x80 || byte > 0xbf) return false;
  if (position !== 1) return true;
  if (lead === 0xe0) return byte >= 0xa0;
  if (lead === 0xed) return byte <= 0x9f;
  if (lead === 0xf0) return byte >= 0x90;
  return lead !== 0xf4 || byte <= 0x8f;
};

// The bytes at the end that more bytes could complete to a character.
const utf8Tail = (bytes) => {
  const length = TypedArrayPrototypeGetByteLength(bytes);
  for (let back = 1; back <= 3 && back <= length; back++) {
    const lead = bytes[length - back];
    if (lead >= 0x80 && lead <= 0xbf) continue;
    if (utf8Length(lead) <= back) return 0;
    for (let i = 1; i < back; i++) {
      if (!isUtf8Continuation(lead, i, bytes[length - back + i])) return 0;
    }
    return back;
  }
  return 0;
};

const utf16Tail = (bytes, bigEndian) => {
  const length = TypedArrayPrototypeGetByteLength(bytes);
  const odd = length % 2;
  if (length - odd < 2) return odd;
  const high = bytes[length - odd - (bigEndian ? 2 : 1)];
  return high >= 0xd8 && high <= 0xdb ? odd + 2 : odd;
};

const isDigit = (byte) => byte >= 0x30 && byte <= 0x39;

// A character of four bytes; of one that is broken only the first byte is passed over.
const gb18030Length = (third, fourth) => {
  if (third !== undefined && (third < 0x81 || third > 0xfe)) return 1;
  return fourth !== undefined && !isDigit(fourth) ? 1 : 4;
};

// How many bytes a decoder takes at once from `i` on, in the multi-byte legacy encodings. A pair
// whose second byte does not go with the first counts as two either way: that byte is dropped, or
// read again as a character of ASCII. What is past the end reads as undefined.
const legacyLength = (encoding, bytes, i) => {
  const lead = bytes[i];
  if (lead < 0x80) return 1;
  switch (encoding) {
    case "shift_jis":
      return lead === 0x80 || (lead >= 0xa0 && lead <= 0xdf) || lead > 0xfc ? 1 : 2;
    case "euc-jp":
      if (lead === 0x8f) return bytes[i + 1] < 0xa1 || bytes[i + 1] === 0xff ? 2 : 3;
      return lead === 0x8e || (lead >= 0xa1 && lead <= 0xfe) ? 2 : 1;
    case "gb18030":
    case "gbk":
      if (lead === 0x80 || lead === 0xff) return 1;
      return isDigit(bytes[i + 1]) ? gb18030Length(bytes[i + 2], bytes[i + 3]) : 2;
    default: // big5, euc-kr
      return lead === 0x80 || lead === 0xff ? 1 : 2;
  }
};

const legacyTail = (encoding, bytes) => {
  const length = TypedArrayPrototypeGetByteLength(bytes);
  let i = 0;
  while (i < length) {
    const size = legacyLength(encoding, bytes, i);
    if (i + size > length) return length - i;
    i += size;
  }
  return 0;
};

const multiByte = {
  __proto__: null,
  "gbk": true, "gb18030": true, "big5": true, "euc-jp": true, "shift_jis": true, "euc-kr": true,
};

const tailOf = (encoding, bytes) => {
  if (encoding === "utf-8") return utf8Tail(bytes);
  if (encoding === "utf-16le") return utf16Tail(bytes, false);
  if (encoding === "utf-16be") return utf16Tail(bytes, true);
  return multiByte[encoding] ? legacyTail(encoding, bytes) : 0;
};

class TextDecoder {
  #encoding;
  #fatal;
  #ignoreBOM;
  // The bytes of an unfinished character, and whether the stream's first character is past.
  #carry = undefined;
  #begun = false;

  constructor(label = "utf-8", options = undefined) {
    const name = `${label}`;
    const dictionary = requireDictionary(options, "TextDecoder");
    let fatal = false;
    let ignoreBOM = false;
    if (dictionary !== null) {
      fatal = !!dictionary.fatal;
      ignoreBOM = !!dictionary.ignoreBOM;
    }
    const encoding = encodingFor(name);
    if (encoding === undefined || encoding === "replacement") {
      throw new RangeError(`TextDecoder: the encoding label ${quote(name)} is not known`);
    }
    this.#encoding = encoding;
    this.#fatal = fatal;
    this.#ignoreBOM = ignoreBOM;
  }
  get encoding() {
    return this.#encoding;
  }
  get fatal() {
    return this.#fatal;
  }
  get ignoreBOM() {
    return this.#ignoreBOM;
  }
  decode(input = undefined, options = undefined) {
    const encoding = this.#encoding;
    const dictionary = requireDictionary(options, "TextDecoder.decode");
    const stream = dictionary !== null && !!dictionary.stream;
    let bytes = input === undefined ? new Uint8Array(0) : bytesOf(input, "TextDecoder.decode");
    if (stream && encoding === "iso-2022-jp") {
      throw domException(
        "TextDecoder.decode: iso-2022-jp can't be decoded as a stream",
        "NotSupportedError",
      );
    }
    const carry = this.#carry;
    if (carry !== undefined) {
      const carried = TypedArrayPrototypeGetByteLength(carry);
      const all = new Uint8Array(carried + TypedArrayPrototypeGetByteLength(bytes));
      TypedArrayPrototypeSet(all, carry, 0);
      TypedArrayPrototypeSet(all, bytes, carried);
      bytes = all;
      this.#carry = undefined;
    }
    const begun = this.#begun;
    this.#begun = false;
    if (stream) {
      const tail = tailOf(encoding, bytes);
      const length = TypedArrayPrototypeGetByteLength(bytes);
      if (tail > 0) {
        const rest = new Uint8Array(tail);
        for (let i = 0; i < tail; i++) rest[i] = bytes[length - tail + i];
        this.#carry = rest;
        bytes = new Uint8Array(
          TypedArrayPrototypeGetBuffer(bytes),
          TypedArrayPrototypeGetByteOffset(bytes),
          length - tail,
        );
      }
      this.#begun = begun || length > tail;
    }
    // The mark may only be skipped at the very start.
    const text = decode(encoding, bytes, this.#fatal, this.#ignoreBOM || begun);
    if (text === undefined) {
      this.#carry = undefined;
      this.#begun = false;
      throw new TypeError(`TextDecoder.decode: the data is not valid ${encoding}`);
    }
    return text;
  }
  static fieldsOf(value) {
    if (!(#encoding in value)) return undefined;
    const pairs = list();
    pairs[0] = "encoding";
    pairs[1] = value.#encoding;
    pairs[2] = "fatal";
    pairs[3] = value.#fatal;
    pairs[4] = "ignoreBOM";
    pairs[5] = value.#ignoreBOM;
    return pairs;
  }
}
const { fieldsOf } = TextDecoder;
delete TextDecoder.fieldsOf;

webidlInterface(TextEncoder);
webidlInterface(TextDecoder);
defineGlobal("TextEncoder", TextEncoder);
defineGlobal("TextDecoder", TextDecoder);

internal.bytesOf = bytesOf;
inspectHooks[inspectHooks.length] = (value) => {
  if (isTextEncoder(value)) return shownAs(undefined);
  const pairs = fieldsOf(value);
  return pairs === undefined ? undefined : shownAs(pairs);
};
