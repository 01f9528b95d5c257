// Read an Arrow file (the IPC file format of Apache Arrow, without compression) with the types of a library map: float32, int
// of 8 to 32 bits, utf8, and dictionaries of utf8. Every offset of the file is checked, because a file may be damaged.
// See https://arrow.apache.org/docs/format/Columnar.html

const MAGIC = "ARROW1";
const [INT, FLOAT, UTF8] = [2, 3, 5]; // The numbers of the types in Schema.fbs.
const [DICTIONARY_BATCH, RECORD_BATCH] = [2, 3]; // The numbers of the headers in Message.fbs.
const BLOCK = 24; // The number of bytes of a block in the footer. A block has the offset and the length of a message.
const PAIR = 16; // Bytes of a field node, and of a buffer.
const SINGLE = 1; // The precision of float32.
const MOST_COLUMNS = 100;
const decoder = new TextDecoder();

export class ArrowError extends Error {}

// Return {rows, columns}. `columns` maps each name to an array of numbers, or to an object with `at(row)`, which returns a
// text. Throws an `ArrowError` if the buffer holds no such file.
export function readArrow(buffer) {
  try {
    return read(buffer);
  } catch (error) {
    // A DataView and a typed array throw a RangeError for an offset that is outside the file.
    if (error instanceof RangeError) throw new ArrowError("The file of the map is damaged: an offset leads out of it.");
    throw error;
  }
}

function read(buffer) {
  const bytes = new Uint8Array(buffer);
  const view = new DataView(buffer);
  const end = bytes.length - MAGIC.length;
  if (end < 16 || !isMagic(bytes, 0) || !isMagic(bytes, end)) throw new ArrowError("The answer is no Arrow file.");
  const length = view.getInt32(end - 4, true);
  if (length <= 0 || length > end - 12) throw new ArrowError("The file of the map is damaged: it has no footer.");
  const footer = root(view, end - 4 - length);
  const fields = footer.table(1)?.tables(1) ?? [];
  if (fields.length === 0 || fields.length > MOST_COLUMNS) throw new ArrowError("The file of the map has no columns.");
  const dictionaries = new Map();
  for (const block of blocks(footer, 2)) {
    const { header, body } = message(view, bytes, block, DICTIONARY_BATCH);
    const batch = header.table(1);
    dictionaries.set(header.long(0), column(UTF8_FIELD, takerOf(batch, body), rowsOf(batch)));
  }
  const batches = blocks(footer, 3);
  if (batches.length === 0) return { rows: 0, columns: new Map(fields.map((field) => [field.text(0), emptyColumn(field)])) };
  if (batches.length > 1) throw new ArrowError("The file of the map has several record batches, and this page reads one.");
  const { header, body } = message(view, bytes, batches[0], RECORD_BATCH);
  const rows = rowsOf(header);
  const take = takerOf(header, body);
  return { rows, columns: new Map(fields.map((field) => [field.text(0), column(field, take, rows, dictionaries)])) };
}

const isMagic = (bytes, at) => [...MAGIC].every((letter, place) => bytes[at + place] === letter.charCodeAt(0));

function rowsOf(batch) {
  if (batch.table(3) !== null) throw new ArrowError("The file of the map is compressed, and this page reads only uncompressed files.");
  return batch.long(0);
}

// --- columns ---

const UTF8_FIELD = { byte: () => UTF8, table: () => null };

function column(field, take, rows, dictionaries = null) {
  const encoding = field.table(4);
  if (encoding === null) return plain(field.byte(2), field.table(3), take, rows);
  const words = dictionaries?.get(encoding.long(0));
  if (!words) throw new ArrowError("The file of the map lacks a dictionary.");
  const indices = plain(INT, encoding.table(1), take, rows);
  for (const index of indices) if (index < 0 || index >= words.length) throw new RangeError("a word of a dictionary");
  return { length: rows, words: words.all(), indices, at: (row) => words.at(indices[row]) };
}

function plain(kind, type, take, rows) {
  take.node(rows);
  take.buffer(); // The buffer that marks null values. There are none, as `node` has checked.
  if (kind === UTF8) return texts(take.buffer(), take.buffer(), rows);
  if (kind === FLOAT && type.short(0) === SINGLE) return typed(Float32Array, take.buffer(), rows);
  if (kind === INT) {
    const kinds = { 8: [Uint8Array, Int8Array], 16: [Uint16Array, Int16Array], 32: [Uint32Array, Int32Array] };
    const chosen = kinds[type.int(0)]?.[type.byte(1)];
    if (chosen) return typed(chosen, take.buffer(), rows);
  }
  throw new ArrowError("The file of the map has a column of a type that this page does not read.");
}

function typed(Kind, bytes, rows) {
  if (bytes.length < rows * Kind.BYTES_PER_ELEMENT) throw new RangeError("a column");
  if (bytes.byteOffset % Kind.BYTES_PER_ELEMENT !== 0) throw new RangeError("an unaligned column");
  return new Kind(bytes.buffer, bytes.byteOffset, rows);
}

function texts(offsetBytes, bytes, rows) {
  const offsets = rows === 0 ? new Int32Array(1) : typed(Int32Array, offsetBytes, rows + 1);
  for (let row = 0, before = 0; row <= rows; row += 1) {
    if (offsets[row] < before || offsets[row] > bytes.length) throw new RangeError("a text");
    before = offsets[row];
  }
  const at = (row) => decoder.decode(bytes.subarray(offsets[row], offsets[row + 1]));
  return { length: rows, at, all: () => Array.from({ length: rows }, (_, row) => at(row)) };
}

function emptyColumn(field) {
  if (field.table(4) === null && field.byte(2) !== UTF8) return new Float32Array(0);
  return { length: 0, words: [], indices: [], at: () => "", all: () => [] };
}

// --- messages ---

function blocks(footer, slot) {
  return footer.structs(slot, BLOCK).map((at) => ({ offset: footer.longAt(at), metadata: footer.view.getInt32(at + 8, true), body: footer.longAt(at + 16) }));
}

// Return the header of the message at a block, and its body as bytes.
function message(view, bytes, { offset, metadata, body }, kind) {
  const start = offset + metadata;
  if (metadata < 8 || start + body > bytes.length) throw new RangeError("a message");
  const prefix = view.getInt32(offset, true) === -1 ? 8 : 4; // Files before 2019 have no mark before the length.
  const found = root(view, offset + prefix);
  const header = found.table(2);
  if (header === null || found.byte(1) !== kind) throw new ArrowError("The file of the map is damaged: a part has another type.");
  return { header, body: bytes.subarray(start, start + body) };
}

// Return functions that hand out the nodes and buffers of a batch, one after the other.
function takerOf(batch, body) {
  const nodes = batch.structs(1, PAIR);
  const buffers = batch.structs(2, PAIR);
  return {
    node(rows) {
      const at = nodes.shift();
      if (at === undefined || batch.longAt(at) !== rows) throw new RangeError("the length of a column");
      if (batch.longAt(at + 8) !== 0) throw new ArrowError("The file of the map has a column with null values.");
    },
    buffer() {
      const at = buffers.shift();
      if (at === undefined) throw new RangeError("a buffer");
      const [start, length] = [batch.longAt(at), batch.longAt(at + 8)];
      if (start + length > body.length) throw new RangeError("a buffer");
      return body.subarray(start, start + length);
    },
  };
}

// --- flatbuffers ---

const root = (view, at) => new Table(view, at + view.getUint32(at, true));

// A table of a flatbuffer. A slot that the table lacks is null, or 0 for a number.
class Table {
  constructor(view, at) {
    this.view = view;
    this.at = at;
    this.vtable = at - view.getInt32(at, true);
    this.size = view.getUint16(this.vtable, true);
  }

  // Return where the value of a slot is, or 0.
  #place(slot) {
    const entry = 4 + 2 * slot;
    if (entry + 2 > this.size) return 0;
    const offset = this.view.getUint16(this.vtable + entry, true);
    return offset === 0 ? 0 : this.at + offset;
  }

  #number(slot, read) {
    const at = this.#place(slot);
    return at === 0 ? 0 : read(at);
  }

  #target(slot) {
    const at = this.#place(slot);
    return at === 0 ? 0 : at + this.view.getUint32(at, true);
  }

  byte(slot) {
    return this.#number(slot, (at) => this.view.getUint8(at));
  }

  short(slot) {
    return this.#number(slot, (at) => this.view.getInt16(at, true));
  }

  int(slot) {
    return this.#number(slot, (at) => this.view.getInt32(at, true));
  }

  long(slot) {
    return this.#number(slot, (at) => this.longAt(at));
  }

  // Return the int64 at a place. The format has no negative ones where this page reads one.
  longAt(at) {
    const value = Number(this.view.getBigInt64(at, true));
    if (!Number.isSafeInteger(value) || value < 0) throw new RangeError("a number");
    return value;
  }

  text(slot) {
    const at = this.#target(slot);
    if (at === 0) return "";
    return decoder.decode(new Uint8Array(this.view.buffer, at + 4, this.view.getUint32(at, true)));
  }

  table(slot) {
    const at = this.#target(slot);
    return at === 0 ? null : new Table(this.view, at);
  }

  tables(slot) {
    return this.structs(slot, 4).map((at) => new Table(this.view, at + this.view.getUint32(at, true)));
  }

  // Return the places of the items of a vector. `size`: bytes of an item.
  structs(slot, size) {
    const at = this.#target(slot);
    if (at === 0) return [];
    const count = this.view.getUint32(at, true);
    if (at + 4 + count * size > this.view.byteLength) throw new RangeError("a vector");
    return Array.from({ length: count }, (_, row) => at + 4 + row * size);
  }
}
