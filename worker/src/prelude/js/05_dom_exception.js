// DOMException: a real Error object (with a stack) whose prototype is DOMException.prototype.

const {
  Error, ErrorCaptureStackTrace, ErrorPrototype, ObjectDefineProperty, ObjectSetPrototypeOf,
  ReflectConstruct, TypeError, defineGlobal, define, list, webidlInterface,
} = internal.primordials;

const codes = {
  __proto__: null,
  IndexSizeError: 1, HierarchyRequestError: 3, WrongDocumentError: 4, InvalidCharacterError: 5,
  NoModificationAllowedError: 7, NotFoundError: 8, NotSupportedError: 9, InUseAttributeError: 10,
  InvalidStateError: 11, SyntaxError: 12, InvalidModificationError: 13, NamespaceError: 14,
  InvalidAccessError: 15, TypeMismatchError: 17, SecurityError: 18, NetworkError: 19,
  AbortError: 20, URLMismatchError: 21, QuotaExceededError: 22, TimeoutError: 23,
  InvalidNodeTypeError: 24, DataCloneError: 25,
};

// Puts private fields on an object that another constructor made.
const Stamp = function (object) {
  return object;
};
class Slots extends Stamp {
  #name;
  #message;
  constructor(error, name, message) {
    super(error);
    this.#name = name;
    this.#message = message;
  }
  static has(value) {
    return typeof value === "object" && value !== null && #name in value;
  }
  static get(value) {
    if (!Slots.has(value)) throw new TypeError("Illegal invocation");
    return { name: value.#name, message: value.#message };
  }
}

const nothing = list();

function construct(newTarget, skipTo, message, name) {
  const error = ReflectConstruct(Error, nothing, newTarget);
  new Slots(error, name, message);
  // Again, now that the name and the message are there for the first line of the stack.
  ErrorCaptureStackTrace(error, skipTo);
  return error;
}

class DOMException {
  constructor(message = "", options = "Error") {
    const text = `${message}`;
    let name = options;
    let cause;
    let hasCause = false;
    if (options !== null && (typeof options === "object" || typeof options === "function")) {
      name = options.name;
      if (name === undefined) name = "Error";
      if ("cause" in options) {
        hasCause = true;
        cause = options.cause;
      }
    }
    const error = construct(new.target, DOMException, text, `${name}`);
    if (hasCause) define(error, "cause", cause);
    return error;
  }
  get name() {
    return Slots.get(this).name;
  }
  get message() {
    return Slots.get(this).message;
  }
  get code() {
    return codes[Slots.get(this).name] ?? 0;
  }
}

ObjectDefineProperty(DOMException.prototype, "constructor", {
  __proto__: null, value: DOMException, writable: true, enumerable: false, configurable: true,
});
ObjectSetPrototypeOf(DOMException.prototype, ErrorPrototype);
webidlInterface(DOMException);

const constants = [
  "INDEX_SIZE_ERR", "DOMSTRING_SIZE_ERR", "HIERARCHY_REQUEST_ERR", "WRONG_DOCUMENT_ERR",
  "INVALID_CHARACTER_ERR", "NO_DATA_ALLOWED_ERR", "NO_MODIFICATION_ALLOWED_ERR", "NOT_FOUND_ERR",
  "NOT_SUPPORTED_ERR", "INUSE_ATTRIBUTE_ERR", "INVALID_STATE_ERR", "SYNTAX_ERR",
  "INVALID_MODIFICATION_ERR", "NAMESPACE_ERR", "INVALID_ACCESS_ERR", "VALIDATION_ERR",
  "TYPE_MISMATCH_ERR", "SECURITY_ERR", "NETWORK_ERR", "ABORT_ERR", "URL_MISMATCH_ERR",
  "QUOTA_EXCEEDED_ERR", "TIMEOUT_ERR", "INVALID_NODE_TYPE_ERR", "DATA_CLONE_ERR",
];
for (let i = 0; i < constants.length; i++) {
  const descriptor = {
    __proto__: null, value: i + 1, writable: false, enumerable: true, configurable: false,
  };
  ObjectDefineProperty(DOMException, constants[i], descriptor);
  ObjectDefineProperty(DOMException.prototype, constants[i], descriptor);
}

defineGlobal("DOMException", DOMException);

internal.domException = (message, name) => {
  return construct(DOMException, internal.domException, message, name);
};
// Called by the host for what it can't clone; gives the exception to throw.
internal.dataCloneError = (message) => {
  return construct(DOMException, internal.dataCloneError, `${message}`, "DataCloneError");
};
internal.isDOMException = Slots.has;
internal.domExceptionSlots = Slots.get;
