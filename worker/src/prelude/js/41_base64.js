// atob and btoa.

const {
  Int32Array, ReflectApply, StringFromCharCode, StringPrototypeCharCodeAt, defineGlobal,
  list, requireArguments,
} = internal.primordials;
const { domException } = internal;

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const PADDING = 0x3d;
// Characters are made of this many codes at a time.
const CODES_AT_ONCE = 4096;

const letters = new Int32Array(64);
const values = new Int32Array(128);
for (let i = 0; i < 128; i++) values[i] = -1;
for (let i = 0; i < 64; i++) {
  letters[i] = StringPrototypeCharCodeAt(ALPHABET, i);
  values[letters[i]] = i;
}

// Collects character codes into a string.
const newWriter = () => ({ codes: list(), text: "" });
const flush = (writer) => {
  writer.text += ReflectApply(StringFromCharCode, undefined, writer.codes);
  writer.codes = list();
};
const put = (writer, code) => {
  const { codes } = writer;
  codes[codes.length] = code;
  if (codes.length === CODES_AT_ONCE) flush(writer);
};

const invalid = (message) => domException(message, "InvalidCharacterError");

const isSpace = (code) =>
  code === 0x20 || code === 0x09 || code === 0x0a || code === 0x0c || code === 0x0d;

const { atob, btoa } = {
  atob(data) {
    requireArguments(arguments.length, 1, "atob");
    const text = `${data}`;
    const writer = newWriter();
    let bits = 0;
    let bitCount = 0;
    let digits = 0;
    let padding = 0;
    for (let i = 0; i < text.length; i++) {
      const code = StringPrototypeCharCodeAt(text, i);
      if (isSpace(code)) continue;
      if (code === PADDING) {
        padding++;
        continue;
      }
      const value = code < 128 ? values[code] : -1;
      if (value === -1 || padding > 0) {
        throw invalid("atob: the string holds a character that is not base64");
      }
      digits++;
      bits = ((bits << 6) | value) & 0xffffff;
      bitCount += 6;
      if (bitCount >= 8) {
        bitCount -= 8;
        put(writer, (bits >>> bitCount) & 0xff);
      }
    }
    // Padding is optional, but what is there must fill the last group.
    if (digits % 4 === 1 || (padding > 0 && (padding > 2 || (digits + padding) % 4 !== 0))) {
      throw invalid("atob: the string has no length that base64 can have");
    }
    flush(writer);
    return writer.text;
  },
  btoa(data) {
    requireArguments(arguments.length, 1, "btoa");
    const text = `${data}`;
    const { length } = text;
    const writer = newWriter();
    for (let i = 0; i < length; i += 3) {
      const a = StringPrototypeCharCodeAt(text, i);
      const b = i + 1 < length ? StringPrototypeCharCodeAt(text, i + 1) : 0;
      const c = i + 2 < length ? StringPrototypeCharCodeAt(text, i + 2) : 0;
      if ((a | b | c) > 0xff) {
        throw invalid("btoa: the string holds a character above U+00FF");
      }
      put(writer, letters[a >> 2]);
      put(writer, letters[((a & 3) << 4) | (b >> 4)]);
      put(writer, i + 1 < length ? letters[((b & 15) << 2) | (c >> 6)] : PADDING);
      put(writer, i + 2 < length ? letters[c & 63] : PADDING);
    }
    flush(writer);
    return writer.text;
  },
};

defineGlobal("atob", atob);
defineGlobal("btoa", btoa);
