// Text for the console: quoting, widths, columns, cutting. No regular expressions: they would
// change `RegExp.$1` and its kin under the user's eyes.

const {
  MathFloor, MathMax, MathMin, MathRound, MathSqrt, NumberPrototypeToString, ObjectIs,
  StringPrototypeCharCodeAt, StringPrototypeCodePointAt, StringPrototypeIncludes,
  StringPrototypeIndexOf, StringPrototypePadEnd, StringPrototypePadStart, StringPrototypeRepeat,
  StringPrototypeSlice, StringPrototypeToUpperCase, list,
} = internal.primordials;

// The most characters that one console call or one rendered value gives.
const TEXT_CHARS_MAX = 1 << 20;
// The most characters of one string inside a container.
const NESTED_STRING_CHARS_MAX = 10_000;
// The columns that a line should keep to.
const LINE_COLUMNS = 80;
// How many levels of containers may share one line.
const LEVELS_PER_LINE = 3;

const isSurrogateHigh = (unit) => unit >= 0xd800 && unit <= 0xdbff;
const isSurrogateLow = (unit) => unit >= 0xdc00 && unit <= 0xdfff;

// The escape of the UTF-16 unit at `index`, or undefined where none is needed.
const escapeAt = (text, index, unit, quote) => {
  if (unit === quote || unit === 0x5c) return `\\${text[index]}`;
  if (unit < 0x20 || (unit >= 0x7f && unit <= 0x9f)) {
    switch (unit) {
      case 0x08: return "\\b";
      case 0x09: return "\\t";
      case 0x0a: return "\\n";
      case 0x0c: return "\\f";
      case 0x0d: return "\\r";
    }
    const digits = StringPrototypeToUpperCase(NumberPrototypeToString(unit, 16));
    return `\\x${digits.length < 2 ? "0" : ""}${digits}`;
  }
  if (unit < 0xd800 || unit > 0xdfff) return undefined;
  if (isSurrogateHigh(unit)) {
    if (isSurrogateLow(StringPrototypeCharCodeAt(text, index + 1))) return undefined;
  } else if (index > 0 && isSurrogateHigh(StringPrototypeCharCodeAt(text, index - 1))) {
    return undefined;
  }
  return `\\u${NumberPrototypeToString(unit, 16)}`;
};

// The string as a literal, in the quotes that need the fewest escapes.
const quote = (text) => {
  let mark = "'";
  if (StringPrototypeIncludes(text, "'")) {
    if (!StringPrototypeIncludes(text, '"')) mark = '"';
    else if (!StringPrototypeIncludes(text, "`") && !StringPrototypeIncludes(text, "${")) {
      mark = "`";
    }
  }
  const markUnit = StringPrototypeCharCodeAt(mark, 0);
  let result = mark;
  let from = 0;
  for (let i = 0; i < text.length; i++) {
    const unit = StringPrototypeCharCodeAt(text, i);
    if (unit >= 0x20 && unit < 0x7f && unit !== 0x5c && unit !== markUnit) continue;
    const escape = escapeAt(text, i, unit, markUnit);
    if (escape === undefined) continue;
    if (from < i) result += StringPrototypeSlice(text, from, i);
    result += escape;
    from = i + 1;
  }
  return `${result}${from === 0 ? text : StringPrototypeSlice(text, from)}${mark}`;
};

const isIdentifier = (text) => {
  if (text.length === 0) return false;
  for (let i = 0; i < text.length; i++) {
    const unit = StringPrototypeCharCodeAt(text, i);
    const isLetter =
      (unit >= 0x61 && unit <= 0x7a) || (unit >= 0x41 && unit <= 0x5a) || unit === 0x5f;
    if (!isLetter && (i === 0 || unit < 0x30 || unit > 0x39)) return false;
  }
  return true;
};

const numberText = (value) => (ObjectIs(value, -0) ? "-0" : `${value}`);

// The columns that a code point takes in a terminal: East Asian wide ones and emoji take two.
const codePointColumns = (code) => {
  if (code < 0x300) return code < 0x20 || (code >= 0x7f && code < 0xa0) ? 0 : 1;
  if (
    code <= 0x36f || (code >= 0x200b && code <= 0x200f) || (code >= 0x20d0 && code <= 0x20ff) ||
    (code >= 0xfe00 && code <= 0xfe0f) || (code >= 0xfe20 && code <= 0xfe2f) ||
    (code >= 0xe0100 && code <= 0xe01ef)
  ) {
    return 0;
  }
  if (
    (code >= 0x1100 && code <= 0x115f) || (code >= 0x2e80 && code <= 0x303e) ||
    (code >= 0x3041 && code <= 0xa4cf) || (code >= 0xac00 && code <= 0xd7a3) ||
    (code >= 0xf900 && code <= 0xfaff) || (code >= 0xfe30 && code <= 0xfe6f) ||
    (code >= 0xff00 && code <= 0xff60) || (code >= 0xffe0 && code <= 0xffe6) ||
    (code >= 0x1f300 && code <= 0x1f64f) || (code >= 0x1f680 && code <= 0x1f6ff) ||
    (code >= 0x1f900 && code <= 0x1faff) || (code >= 0x20000 && code <= 0x3fffd)
  ) {
    return 2;
  }
  return 1;
};

const columnsOf = (text) => {
  let columns = 0;
  for (let i = 0; i < text.length; i++) {
    const unit = StringPrototypeCharCodeAt(text, i);
    if (unit >= 0x20 && unit < 0x7f) {
      columns++;
      continue;
    }
    const code = StringPrototypeCodePointAt(text, i);
    if (code > 0xffff) i++;
    columns += codePointColumns(code);
  }
  return columns;
};

// Array.prototype.join looks at nothing but own elements here; this one does not even need it.
const join = (parts, separator) => {
  if (parts.length === 0) return "";
  let text = parts[0];
  for (let i = 1; i < parts.length; i++) text += separator + parts[i];
  return text;
};

// Puts many short entries into rows of aligned columns, when that is shorter to read.
// `fixed` is how many entries at the end stay on lines of their own.
const inColumns = (entries, fixed, indentation, alignRight) => {
  const count = entries.length - fixed;
  const gap = 2;
  const widths = list();
  let total = 0;
  let widest = 0;
  for (let i = 0; i < count; i++) {
    const width = columnsOf(entries[i]);
    widths[i] = width;
    total += width + gap;
    widest = MathMax(widest, width);
  }
  const cell = widest + gap;
  const worthIt = total / cell > 5 || widest <= 6;
  if (cell * 3 + indentation >= LINE_COLUMNS || !worthIt) return entries;

  // A block that looks square: characters are about two and a half times as high as wide. The
  // spread of the widths tells how much of a cell is used on average.
  const used = MathMax(cell - 3 - MathSqrt(cell - total / entries.length), 1);
  const columns = MathMin(
    MathRound(MathSqrt(2.5 * used * count) / used),
    MathFloor((LINE_COLUMNS - indentation) / cell),
    LEVELS_PER_LINE * 4,
    15,
  );
  if (columns <= 1) return entries;

  const columnWidths = list();
  for (let column = 0; column < columns; column++) {
    let width = 0;
    for (let i = column; i < count; i += columns) width = MathMax(width, widths[i]);
    columnWidths[column] = width;
  }
  const rows = list();
  for (let first = 0; first < count; first += columns) {
    const end = MathMin(first + columns, count);
    let row = "";
    for (let i = first; i < end; i++) {
      // Padding counts UTF-16 units, widths count columns.
      const units = columnWidths[i - first] + entries[i].length - widths[i];
      const last = i === end - 1;
      if (alignRight) {
        row += StringPrototypePadStart(entries[i], units, " ") + (last ? "" : ", ");
      } else {
        row += last ? entries[i] : StringPrototypePadEnd(`${entries[i]}, `, units + gap, " ");
      }
    }
    rows[rows.length] = row;
  }
  for (let i = count; i < entries.length; i++) rows[rows.length] = entries[i];
  return rows;
};

const fitsOneLine = (entries, start, base) => {
  let columns = entries.length + start;
  if (columns + entries.length > LINE_COLUMNS) return false;
  for (let i = 0; i < entries.length; i++) {
    columns += entries[i].length;
    if (columns > LINE_COLUMNS) return false;
  }
  return base === "" || !StringPrototypeIncludes(base, "\n");
};

// The text of a container. `levelsBelow` is how deep the last entry goes.
const layOut = (entries, base, open, close, indentation, levelsBelow, columns) => {
  let lines = entries;
  if (columns !== undefined && entries.length > 6) {
    lines = inColumns(entries, columns.fixed, indentation, columns.alignRight);
  }
  const lead = base === "" ? "" : `${base} `;
  if (levelsBelow < LEVELS_PER_LINE && lines.length === entries.length) {
    const start = lines.length + indentation + open.length + base.length + 10;
    if (fitsOneLine(lines, start, base)) {
      const joined = join(lines, ", ");
      if (!StringPrototypeIncludes(joined, "\n")) return `${lead}${open} ${joined} ${close}`;
    }
  }
  const newLine = `\n${StringPrototypeRepeat(" ", indentation)}`;
  return `${lead}${open}${newLine}  ${join(lines, `,${newLine}  `)}${newLine}${close}`;
};

// Each line but the first moves to the right.
const indentLines = (text, indentation) => {
  let at = StringPrototypeIndexOf(text, "\n");
  if (at === -1 || indentation.length === 0) return text;
  let result = "";
  let from = 0;
  while (at !== -1) {
    result += StringPrototypeSlice(text, from, at + 1) + indentation;
    from = at + 1;
    at = StringPrototypeIndexOf(text, "\n", from);
  }
  return result + StringPrototypeSlice(text, from);
};

const plural = (count, noun) => `${count} more ${noun}${count === 1 ? "" : "s"}`;
const pluralEntries = (count) => `${count} more ${count === 1 ? "property" : "properties"}`;

// At most `max` characters; what is missing is told.
const cutText = (text, max = TEXT_CHARS_MAX) => {
  if (text.length <= max) return text;
  const note = `\n... ${plural(text.length - max, "character")}`;
  let end = MathMax(max - note.length, 0);
  if (end > 0 && isSurrogateHigh(StringPrototypeCharCodeAt(text, end - 1))) end--;
  return StringPrototypeSlice(text, 0, end) + `\n... ${plural(text.length - end, "character")}`;
};

const utf8BytesAt = (text, index) => {
  const unit = StringPrototypeCharCodeAt(text, index);
  if (unit < 0x80) return 1;
  if (unit < 0x800) return 2;
  if (isSurrogateHigh(unit) && isSurrogateLow(StringPrototypeCharCodeAt(text, index + 1))) return 4;
  return 3;
};

// How many UTF-16 units from the start (or, backwards, from the end) fit into `bytesMax` bytes.
const unitsOfHead = (text, bytesMax) => {
  let bytes = 0;
  let i = 0;
  while (i < text.length) {
    const size = utf8BytesAt(text, i);
    if (bytes + size > bytesMax) break;
    bytes += size;
    i += size === 4 ? 2 : 1;
  }
  return i;
};

const unitsOfTail = (text, bytesMax) => {
  let bytes = 0;
  let i = text.length;
  while (i > 0) {
    let start = i - 1;
    const pair = start > 0 && isSurrogateLow(StringPrototypeCharCodeAt(text, start)) &&
      isSurrogateHigh(StringPrototypeCharCodeAt(text, start - 1));
    if (pair) start--;
    const size = utf8BytesAt(text, start);
    if (bytes + size > bytesMax) break;
    bytes += size;
    i = start;
  }
  return text.length - i;
};

// Head and tail of a text that is longer than `bytesMax` bytes of UTF-8.
const cutMiddle = (text, bytesMax, hiddenChars = 0) => {
  const noteBytesMax = 64;
  if (bytesMax < noteBytesMax * 2) {
    return StringPrototypeSlice(text, 0, unitsOfHead(text, bytesMax));
  }
  const room = bytesMax - noteBytesMax;
  const head = unitsOfHead(text, MathFloor((room * 2) / 3));
  const tail = unitsOfTail(text, room - MathFloor((room * 2) / 3));
  const missing = text.length - head - tail + hiddenChars;
  return `${StringPrototypeSlice(text, 0, head)}\n... ${plural(missing, "character")} ...\n${
    StringPrototypeSlice(text, text.length - tail)}`;
};

internal.text = {
  __proto__: null, TEXT_CHARS_MAX, NESTED_STRING_CHARS_MAX, LINE_COLUMNS, columnsOf, cutMiddle,
  cutText, indentLines, isIdentifier, join, layOut, numberText, plural, pluralEntries, quote,
  unitsOfHead,
};
