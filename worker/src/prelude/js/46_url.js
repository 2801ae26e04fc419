// URL. The host parses; an object holds the parts of its address as strings.

const {
  ReflectGetOwnPropertyDescriptor, StringPrototypeSlice, TypeError, define, defineGlobal, list,
  requireArguments, toUSVString, uncurryThis, webidlInterface,
} = internal.primordials;
const { createSearchParams, inspectHooks, setSearchParams, shownAs } = internal;
const { urlParse, urlSet } = host;

// The order in which the host gives the parts.
const HREF = 0;
const ORIGIN = 1;
const PROTOCOL = 2;
const USERNAME = 3;
const PASSWORD = 4;
const HOST = 5;
const HOSTNAME = 6;
const PORT = 7;
const PATHNAME = 8;
const SEARCH = 9;
const HASH = 10;
const names = [
  "href", "origin", "protocol", "username", "password", "host", "hostname", "port", "pathname",
  "search", "hash",
];

const withoutMark = (search) => (search === "" ? "" : StringPrototypeSlice(search, 1));

let partsOf;

class URL {
  #parts;
  #searchParams = undefined;

  constructor(url, base = undefined) {
    requireArguments(arguments.length, 1, "URL");
    const address = toUSVString(url);
    const parts = urlParse(address, base === undefined ? undefined : toUSVString(base));
    if (parts === undefined) {
      const error = new TypeError("Invalid URL");
      define(error, "code", "ERR_INVALID_URL", true);
      define(error, "input", address, true);
      throw error;
    }
    this.#parts = parts;
  }
  static canParse(url, base = undefined) {
    requireArguments(arguments.length, 1, "URL.canParse");
    const address = toUSVString(url);
    return urlParse(address, base === undefined ? undefined : toUSVString(base)) !== undefined;
  }
  static parse(url, base = undefined) {
    requireArguments(arguments.length, 1, "URL.parse");
    const address = toUSVString(url);
    const baseAddress = base === undefined ? undefined : toUSVString(base);
    return urlParse(address, baseAddress) === undefined ? null : new URL(address, baseAddress);
  }
  static {
    partsOf = (url) => (#parts in url ? url.#parts : undefined);
  }

  #set(part, value) {
    const parts = urlSet(this.#parts[HREF], names[part], toUSVString(value));
    if (parts !== undefined) this.#parts = parts;
  }
  #refreshSearchParams() {
    if (this.#searchParams !== undefined) {
      setSearchParams(this.#searchParams, withoutMark(this.#parts[SEARCH]));
    }
  }

  get href() {
    return this.#parts[HREF];
  }
  set href(value) {
    this.#parts;
    const parts = urlParse(toUSVString(value), undefined);
    if (parts === undefined) throw new TypeError("Invalid URL");
    this.#parts = parts;
    this.#refreshSearchParams();
  }
  get origin() {
    return this.#parts[ORIGIN];
  }
  get protocol() {
    return this.#parts[PROTOCOL];
  }
  set protocol(value) {
    this.#set(PROTOCOL, value);
  }
  get username() {
    return this.#parts[USERNAME];
  }
  set username(value) {
    this.#set(USERNAME, value);
  }
  get password() {
    return this.#parts[PASSWORD];
  }
  set password(value) {
    this.#set(PASSWORD, value);
  }
  get host() {
    return this.#parts[HOST];
  }
  set host(value) {
    this.#set(HOST, value);
  }
  get hostname() {
    return this.#parts[HOSTNAME];
  }
  set hostname(value) {
    this.#set(HOSTNAME, value);
  }
  get port() {
    return this.#parts[PORT];
  }
  set port(value) {
    this.#set(PORT, value);
  }
  get pathname() {
    return this.#parts[PATHNAME];
  }
  set pathname(value) {
    this.#set(PATHNAME, value);
  }
  get search() {
    return this.#parts[SEARCH];
  }
  set search(value) {
    this.#set(SEARCH, value);
    this.#refreshSearchParams();
  }
  get searchParams() {
    const query = withoutMark(this.#parts[SEARCH]);
    this.#searchParams ??= createSearchParams(query, (changed) => this.#set(SEARCH, changed));
    return this.#searchParams;
  }
  get hash() {
    return this.#parts[HASH];
  }
  set hash(value) {
    this.#set(HASH, value);
  }
  toString() {
    return this.#parts[HREF];
  }
  toJSON() {
    return this.#parts[HREF];
  }
}

const getSearchParams = uncurryThis(
  ReflectGetOwnPropertyDescriptor(URL.prototype, "searchParams").get,
);

webidlInterface(URL);
defineGlobal("URL", URL);

const fieldsShown = [
  HREF, ORIGIN, PROTOCOL, USERNAME, PASSWORD, HOST, HOSTNAME, PORT, PATHNAME, SEARCH,
];

inspectHooks[inspectHooks.length] = (value) => {
  const parts = partsOf(value);
  if (parts === undefined) return undefined;
  const pairs = list();
  for (let i = 0; i < fieldsShown.length; i++) {
    pairs[2 * i] = names[fieldsShown[i]];
    pairs[2 * i + 1] = parts[fieldsShown[i]];
  }
  pairs[pairs.length] = "searchParams";
  pairs[pairs.length] = getSearchParams(value);
  pairs[pairs.length] = "hash";
  pairs[pairs.length] = parts[HASH];
  return shownAs(pairs, false, true);
};
