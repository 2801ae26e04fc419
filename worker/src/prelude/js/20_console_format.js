// The text of one console call: `%` directives in the first argument, then the rest.

const {
  NumberParseFloat, NumberParseInt, NumberPrototypeValueOf,
  StringPrototypeCharCodeAt, StringPrototypeIncludes, StringPrototypeIndexOf,
  StringPrototypeSlice, StringPrototypeValueOf, list,
} = internal.primordials;
const { TEXT_CHARS_MAX, cutText, numberText, plural } = internal.text;
const { inspectInto, newInspection } = internal;
const { typeTag } = host;

// The depth that %s shows of an object.
const SHALLOW = 0;

const bare = (state, value) => {
  if (typeof value === "string") {
    const text = cutText(value);
    state.charsLeft -= text.length;
    return text;
  }
  return inspectInto(state, value);
};

const shallow = (state, value) => {
  const inner = newInspection(SHALLOW, state.charsLeft);
  const text = inspectInto(inner, value);
  state.charsLeft = inner.charsLeft;
  return text;
};

// A number of a primitive or of a boxed one; an object would run its own `valueOf`.
const numberOf = (value, convert) => {
  if (typeof value === "bigint") return `${value}n`;
  if (typeof value === "symbol") return "NaN";
  if (value !== null && (typeof value === "object" || typeof value === "function")) {
    const tag = typeTag(value);
    if (tag === "NumberObject") return numberText(convert(NumberPrototypeValueOf(value)));
    if (tag === "StringObject") return numberText(convert(StringPrototypeValueOf(value)));
    return "NaN";
  }
  return numberText(convert(value));
};

const toNumber = (value) => +value;
const toInteger = (value) => NumberParseInt(`${value}`, 10);
const toFloat = (value) => NumberParseFloat(`${value}`);

const jsonText = (value) => internal.boundedJson(value, TEXT_CHARS_MAX) ?? "undefined";

const directive = (state, letter, value) => {
  switch (letter) {
    case 0x73: // s
      if (typeof value === "string") return bare(state, value);
      return value !== null && typeof value === "object"
        ? shallow(state, value)
        : inspectInto(state, value);
    case 0x64: // d
      return numberOf(value, toNumber);
    case 0x69: // i
      return numberOf(value, toInteger);
    case 0x66: // f
      return typeof value === "bigint" ? numberText(toFloat(value)) : numberOf(value, toFloat);
    case 0x6a: // j
      return jsonText(value);
    case 0x6f: // o
    case 0x4f: // O
      return inspectInto(freshLine(state), value);
    default: // c: styles mean nothing here
      return "";
  }
};

// Indentation and depth are of one argument, the characters left are of the whole call.
const freshLine = (state) => {
  state.indentation = 0;
  state.lastDepth = 0;
  state.ancestors = list();
  state.circular = undefined;
  state.circularCount = 0;
  return state;
};

const isDirective = (letter) =>
  letter === 0x73 || letter === 0x64 || letter === 0x69 || letter === 0x66 || letter === 0x6a ||
  letter === 0x6f || letter === 0x4f || letter === 0x63;

// `args` is a rest array of the caller, `from` where the values start.
const format = (args, from = 0) => {
  const count = args.length;
  if (count === from) return "";
  const first = args[from];
  // The common call needs no state.
  if (count === from + 1 && typeof first === "string") return cutText(first);

  const state = newInspection();
  let text = "";
  let next = from;
  if (typeof first === "string") {
    next++;
    if (StringPrototypeIncludes(first, "%")) {
      let copied = 0;
      let at = StringPrototypeIndexOf(first, "%");
      while (at !== -1 && at < first.length - 1 && state.charsLeft >= 0) {
        const letter = StringPrototypeCharCodeAt(first, at + 1);
        if (letter === 0x25) {
          text += StringPrototypeSlice(first, copied, at + 1);
          copied = at + 2;
        } else if (isDirective(letter) && next < count) {
          text += StringPrototypeSlice(first, copied, at) + directive(state, letter, args[next]);
          next++;
          copied = at + 2;
        }
        at = StringPrototypeIndexOf(first, "%", copied > at ? copied : at + 1);
      }
      text += StringPrototypeSlice(first, copied);
    } else {
      text = first;
    }
  }
  for (let i = next; i < count; i++) {
    if (state.charsLeft < 0 || text.length > TEXT_CHARS_MAX) {
      text += ` ... ${plural(count - i, "argument")}`;
      break;
    }
    const shown = bare(freshLine(state), args[i]);
    text += i === from ? shown : ` ${shown}`;
  }
  return cutText(text);
};

internal.format = format;
