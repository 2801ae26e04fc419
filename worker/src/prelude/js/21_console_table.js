// The text of console.table: rows and columns in a frame. Reads by descriptors alone.

const {
  Map, MapIteratorPrototypeNext, MapPrototypeEntries, MapPrototypeGet, MapPrototypeGetSize,
  MapPrototypeSet, MathMin, ObjectHasOwn, ReflectGetOwnPropertyDescriptor, ReflectOwnKeys,
  SetIteratorPrototypeNext, SetPrototypeGetSize, SetPrototypeValues, StringPrototypeRepeat,
  StringPrototypeSlice, TypedArrayPrototypeGetLength, list,
} = internal.primordials;
const { columnsOf, plural } = internal.text;
const { behindProxies, inspect, isProxy, typedArrayTags } = internal;
const { previewEntries, typeTag } = host;

const ROWS_MAX = 1000;
const COLUMNS_MAX = 50;
const CELL_CHARS_MAX = 200;
const CELL_DEPTH = 0;

const isObject = (value) => {
  return value !== null && (typeof value === "object" || typeof value === "function");
};

const cellText = (value) => {
  const text = inspect(value, CELL_DEPTH, CELL_CHARS_MAX);
  let line = "";
  // A cell is one line.
  for (let i = 0; i < text.length && line.length <= CELL_CHARS_MAX; i++) {
    if (text[i] !== "\n") line += text[i];
    else {
      while (text[i + 1] === " ") i++;
      line += " ";
    }
  }
  if (line.length <= CELL_CHARS_MAX) return line;
  return `${StringPrototypeSlice(line, 0, CELL_CHARS_MAX)}...`;
};

const propertyText = (object, key) => {
  const descriptor = ReflectGetOwnPropertyDescriptor(object, key);
  if (descriptor === undefined) return "";
  return ObjectHasOwn(descriptor, "value") ? cellText(descriptor.value) : "[Getter]";
};

// Enumerable own string keys; those of a long array are its first indices.
const keysOf = (object, max) => {
  const keys = list();
  const tag = typeTag(object);
  let length = -1;
  if (tag === "Array") length = object.length;
  else if (typedArrayTags[tag]) length = TypedArrayPrototypeGetLength(object);
  if (length > max) {
    for (let i = 0; i < max; i++) keys[keys.length] = `${i}`;
    return { keys, total: length };
  }
  const all = ReflectOwnKeys(object);
  let total = 0;
  for (let i = 0; i < all.length; i++) {
    if (typeof all[i] !== "string") continue;
    if (!ReflectGetOwnPropertyDescriptor(object, all[i])?.enumerable) continue;
    if (total++ < max) keys[keys.length] = all[i];
  }
  return { keys, total };
};

const unwrap = (value) => (isObject(value) && isProxy(value) ? behindProxies(value) : value);

class Table {
  indexTitle;
  rows = list();
  titles = list();
  columnOf = new Map();
  valueColumn = false;
  keyColumn = false;
  total = 0;

  constructor(indexTitle) {
    this.indexTitle = indexTitle;
  }

  // The cells of a row: one for each property of an object, or one value.
  add(index, value, only, key) {
    const row = { index, key, value: undefined, cells: new Map() };
    const object = unwrap(value);
    if (isObject(object) && typeof object !== "function") {
      const keys = only ?? keysOf(object, COLUMNS_MAX).keys;
      for (let i = 0; i < keys.length; i++) {
        if (MapPrototypeGet(this.columnOf, keys[i]) === undefined) {
          if (this.titles.length >= COLUMNS_MAX) continue;
          MapPrototypeSet(this.columnOf, keys[i], this.titles.length);
          this.titles[this.titles.length] = keys[i];
        }
        MapPrototypeSet(row.cells, keys[i], propertyText(object, keys[i]));
      }
    } else {
      row.value = cellText(value);
      this.valueColumn = true;
    }
    this.rows[this.rows.length] = row;
  }

  addPair(index, key, value) {
    this.keyColumn = true;
    this.valueColumn = true;
    const row = { index, key: cellText(key), value: cellText(value), cells: new Map() };
    this.rows[this.rows.length] = row;
  }

  text() {
    const columns = list();
    const addColumn = (title, textOf) => {
      const cells = list();
      let width = columnsOf(title);
      for (let i = 0; i < this.rows.length; i++) {
        cells[i] = textOf(this.rows[i]) ?? "";
        const columnsOfCell = columnsOf(cells[i]);
        if (columnsOfCell > width) width = columnsOfCell;
      }
      columns[columns.length] = { title, cells, width };
    };
    addColumn(this.indexTitle, (row) => row.index);
    if (this.keyColumn) addColumn("Key", (row) => row.key);
    for (let i = 0; i < this.titles.length; i++) {
      const title = this.titles[i];
      addColumn(title, (row) => MapPrototypeGet(row.cells, title));
    }
    if (this.valueColumn) addColumn("Values", (row) => row.value);

    const rule = (left, middle, right) => {
      let line = left;
      for (let i = 0; i < columns.length; i++) {
        line += (i === 0 ? "" : middle) + StringPrototypeRepeat("─", columns[i].width + 2);
      }
      return line + right;
    };
    const line = (textOf) => {
      let result = "│";
      for (let i = 0; i < columns.length; i++) {
        const cell = textOf(columns[i]);
        result += ` ${cell}${StringPrototypeRepeat(" ", columns[i].width - columnsOf(cell))} │`;
      }
      return result;
    };
    let result = `${rule("┌", "┬", "┐")}\n${line((column) => column.title)}\n`;
    result += `${rule("├", "┼", "┤")}\n`;
    for (let i = 0; i < this.rows.length; i++) result += `${line((column) => column.cells[i])}\n`;
    result += rule("└", "┴", "┘");
    if (this.total > this.rows.length) {
      result += `\n... ${plural(this.total - this.rows.length, "row")}`;
    }
    return result;
  }
}

// The table of `data`, or undefined when it is no object. `only` names the columns, if given.
internal.tableText = (data, only) => {
  const object = unwrap(data);
  if (!isObject(object)) return undefined;
  const tag = typeTag(object);
  if (tag === "Map") {
    const table = new Table("(iteration index)");
    table.total = MapPrototypeGetSize(object);
    const iterator = MapPrototypeEntries(object);
    for (let i = 0; i < MathMin(table.total, ROWS_MAX); i++) {
      const pair = MapIteratorPrototypeNext(iterator).value;
      table.addPair(`${i}`, pair[0], pair[1]);
    }
    return table.text();
  }
  if (tag === "Set") {
    const table = new Table("(iteration index)");
    table.total = SetPrototypeGetSize(object);
    const iterator = SetPrototypeValues(object);
    for (let i = 0; i < MathMin(table.total, ROWS_MAX); i++) {
      table.add(`${i}`, SetIteratorPrototypeNext(iterator).value, only);
    }
    return table.text();
  }
  if (tag === "MapIterator" || tag === "SetIterator") {
    const preview = previewEntries(object);
    const table = new Table("(iteration index)");
    const step = preview[1] ? 2 : 1;
    table.total = preview[0].length / step;
    for (let i = 0; i < MathMin(table.total, ROWS_MAX); i++) {
      if (step === 2) table.addPair(`${i}`, preview[0][2 * i], preview[0][2 * i + 1]);
      else table.add(`${i}`, preview[0][i], only);
    }
    return table.text();
  }
  const table = new Table("(index)");
  const { keys, total } = keysOf(object, ROWS_MAX);
  table.total = total;
  for (let i = 0; i < keys.length; i++) {
    const descriptor = ReflectGetOwnPropertyDescriptor(object, keys[i]);
    const isData = descriptor !== undefined && ObjectHasOwn(descriptor, "value");
    table.add(keys[i], isData ? descriptor.value : undefined, only);
  }
  return table.text();
};
