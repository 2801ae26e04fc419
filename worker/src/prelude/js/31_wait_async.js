// `Atomics.waitAsync`, counted: V8 keeps the deadlines of its waiters to itself, but a run must know
// whether there is something left to wait for.

const { waitAsync } = Atomics;
const { PromisePrototypeThen, ReflectApply } = internal.primordials;

let waiters = 0;
const settled = () => {
  waiters--;
};

internal.waiters = () => waiters;
internal.forgetWaiters = () => {
  waiters = 0;
};

const counted = {
  waitAsync(typedArray, index, value, timeout) {
    const waiter = ReflectApply(waitAsync, Atomics, [typedArray, index, value, timeout]);
    // Without a deadline only another line of code can wake it; that is no reason to wait.
    if (waiter.async && timeout !== undefined && timeout < Infinity) {
      waiters++;
      PromisePrototypeThen(waiter.value, settled, settled);
    }
    return waiter;
  },
};

Object.defineProperty(counted.waitAsync, "length", { __proto__: null, value: waitAsync.length, configurable: true });
Object.defineProperty(Atomics, "waitAsync", {
  __proto__: null, value: counted.waitAsync, writable: true, enumerable: false, configurable: true,
});
