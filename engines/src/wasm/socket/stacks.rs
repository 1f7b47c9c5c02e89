//! The stacks that guests of sockets run on, which cost nothing while a guest does nothing.
//!
//! An instance keeps the stack that it ran on for its next run: thousands that wait for a frame would hold three pages and two
//! entries of the kernel's list of mappings each. So a stack that rests gives its pages back and becomes inaccessible, which also
//! makes it one mapping with its neighbours. The last ones used are left as they are, for those that get many frames.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::ops::Range;
use std::pin::pin;
use std::ptr::{null_mut, with_exposed_provenance_mut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use rustix::mm::{MapFlags, MprotectFlags, ProtFlags, mmap_anonymous, mprotect, munmap};
use wasmtime::{StackCreator, StackMemory};

/// Stacks that rest and keep their pages.
const WARM_MAX: usize = 128;
/// Below each stack; a multiple of the page size of every machine, and so are the stacks.
const GUARD_BYTES: usize = 64 << 10;

thread_local! {
    /// The stacks that were made since somebody looked: for whoever polls, at the end of the poll.
    static MADE: RefCell<Vec<Weak<Stack>>> = const { RefCell::new(Vec::new()) };
}

/// Makes stacks, and knows those that rest with their pages.
#[derive(Debug, Default)]
pub(crate) struct Stacks {
    warm: Mutex<VecDeque<Weak<Stack>>>,
}

/// A guard, and the stack above it.
#[derive(Debug)]
struct Stack {
    /// The guard's lowest address.
    base: usize,
    bytes: usize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    rest: Rest,
    /// It stands in the list of the warm ones.
    listed: bool,
    /// It was used since it came into the list, or was last looked at there.
    used: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    Running,
    Warm,
    Cold,
}

/// The stacks of one instance: one, or some more after its allocator called back into us.
#[derive(Debug)]
pub(crate) struct OwnStacks {
    all: Arc<Stacks>,
    own: Vec<Weak<Stack>>,
}

impl OwnStacks {
    pub(crate) fn new(all: Arc<Stacks>) -> Self {
        Self { all, own: Vec::new() }
    }

    /// Does `work`, which runs the guest, on stacks that are awake, and lets them rest after it.
    ///
    /// When the work is given up they stay awake: the guest is unwound on them, and then they go.
    pub(crate) async fn run<T>(&mut self, work: impl Future<Output = T>) -> io::Result<T> {
        let mut work = pin!(work);
        self.own.iter().filter_map(Weak::upgrade).try_for_each(|stack| stack.wake())?;
        let done = poll_fn(|context| {
            let polled = work.as_mut().poll(context);
            MADE.with_borrow_mut(|made| self.own.append(made));
            polled
        })
        .await;
        self.own.retain(|stack| stack.strong_count() > 0);
        self.own.iter().filter_map(Weak::upgrade).for_each(|stack| self.all.rest(&stack));
        Ok(done)
    }
}

impl Stacks {
    fn rest(&self, stack: &Arc<Stack>) {
        let mut state = stack.state();
        state.rest = Rest::Warm;
        state.used = true;
        let listed = std::mem::replace(&mut state.listed, true);
        drop(state);
        if !listed {
            self.warm().push_back(Arc::downgrade(stack));
        }
        self.cool_down();
    }

    /// Shortens the list by those that were not used for longest, looking at each twice at most.
    fn cool_down(&self) {
        for _ in 0..2 * WARM_MAX {
            let Some(entry) = self.one_too_many() else { return };
            if entry.upgrade().is_some_and(|stack| !stack.cool()) {
                self.warm().push_back(entry);
            }
        }
    }

    fn one_too_many(&self) -> Option<Weak<Stack>> {
        let mut warm = self.warm();
        if warm.len() > WARM_MAX { warm.pop_front() } else { None }
    }

    fn warm(&self) -> MutexGuard<'_, VecDeque<Weak<Stack>>> {
        // Nothing panics between two changes.
        self.warm.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Stack {
    fn map(bytes: usize) -> io::Result<Self> {
        // SAFETY: a new mapping, at a place that the kernel chooses.
        let base = unsafe {
            mmap_anonymous(
                null_mut(),
                GUARD_BYTES + bytes,
                ProtFlags::empty(),
                MapFlags::PRIVATE | MapFlags::NORESERVE,
            )?
        };
        let state = State { rest: Rest::Cold, listed: false, used: false };
        let stack = Self { base: base.expose_provenance(), bytes, state: Mutex::new(state) };
        stack.wake()?;
        Ok(stack)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics between two changes.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn bottom(&self) -> usize {
        self.base + GUARD_BYTES
    }

    fn top(&self) -> usize {
        self.bottom() + self.bytes
    }

    /// Makes the stack usable; its content may be zero.
    fn wake(&self) -> io::Result<()> {
        let mut state = self.state();
        if state.rest == Rest::Cold {
            // SAFETY: the range is our own mapping, which nothing refers to while it is cold.
            unsafe {
                let bottom = with_exposed_provenance_mut(self.bottom());
                mprotect(bottom, self.bytes, MprotectFlags::READ | MprotectFlags::WRITE)?;
            }
        }
        state.rest = Rest::Running;
        Ok(())
    }

    /// Gives the pages back if the stack rests and was not used since the last look. False says that it stays in the list.
    fn cool(&self) -> bool {
        let mut state = self.state();
        if state.rest != Rest::Warm || std::mem::take(&mut state.used) {
            return false;
        }
        let flags = MapFlags::PRIVATE | MapFlags::NORESERVE | MapFlags::FIXED;
        // SAFETY: the range is our own mapping, and nothing runs on the stack: an instance runs only in [`OwnStacks::run`], which
        // wakes the stack first. What stood on it is dead: a run begins by writing its frames anew.
        let mapped = unsafe {
            let bottom = with_exposed_provenance_mut(self.bottom());
            mmap_anonymous(bottom, self.bytes, ProtFlags::empty(), flags)
        };
        // Refused, it stays as it is, with its pages.
        if mapped.is_ok() {
            state.rest = Rest::Cold;
        }
        state.listed = false;
        true
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and with its last owner nobody runs on it. A failure leaves it mapped.
        unsafe { munmap(with_exposed_provenance_mut(self.base), GUARD_BYTES + self.bytes).ok() };
    }
}

/// What the engine holds of a stack.
struct Held(Arc<Stack>);

// SAFETY: the range is page-aligned, mapped until the value is dropped, accessible whenever the engine uses it (see `OwnStacks`),
// and has pages without access below it.
unsafe impl StackMemory for Held {
    fn top(&self) -> *mut u8 {
        with_exposed_provenance_mut(self.0.top())
    }

    fn range(&self) -> Range<usize> {
        self.0.bottom()..self.0.top()
    }

    fn guard_range(&self) -> Range<*mut u8> {
        with_exposed_provenance_mut(self.0.base)..with_exposed_provenance_mut(self.0.bottom())
    }
}

// SAFETY: every stack is a mapping of its own, zero when it is new, with a guard; see `StackMemory` above.
unsafe impl StackCreator for Stacks {
    fn new_stack(&self, size: usize, _zeroed: bool) -> Result<Box<dyn StackMemory>, wasmtime::Error> {
        let stack = Arc::new(Stack::map(size.next_multiple_of(GUARD_BYTES))?);
        MADE.with_borrow_mut(|made| made.push(Arc::downgrade(&stack)));
        Ok(Box::new(Held(stack)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(stack: &Stack) {
        let last: *mut u8 = with_exposed_provenance_mut(stack.top() - 1);
        // SAFETY: the last byte of a stack that is awake.
        unsafe { last.write(7) };
    }

    fn last_byte(stack: &Stack) -> u8 {
        let last: *const u8 = with_exposed_provenance_mut(stack.top() - 1);
        // SAFETY: the last byte of a stack that is awake.
        unsafe { last.read() }
    }

    #[test]
    fn those_not_used_for_longest_give_their_pages_back() {
        let stacks = Stacks::default();
        let all: Vec<_> = (0..3 * WARM_MAX).map(|_| Arc::new(Stack::map(1 << 16).expect("mapped"))).collect();
        for stack in &all {
            write(stack);
            stacks.rest(stack);
        }
        assert_eq!(stacks.warm().len(), WARM_MAX);
        let cold = all.iter().filter(|stack| stack.state().rest == Rest::Cold).count();
        assert_eq!(cold, 2 * WARM_MAX);
        for stack in &all {
            let was_cold = stack.state().rest == Rest::Cold;
            stack.wake().expect("awake");
            assert_eq!(last_byte(stack), if was_cold { 0 } else { 7 });
        }
    }

    #[test]
    fn one_that_runs_keeps_its_pages_however_many_rest() {
        let stacks = Stacks::default();
        let running = Arc::new(Stack::map(1 << 16).expect("mapped"));
        stacks.rest(&running);
        running.wake().expect("awake");
        write(&running);
        for _ in 0..3 {
            let others: Vec<_> = (0..2 * WARM_MAX).map(|_| Arc::new(Stack::map(1 << 16).expect("mapped"))).collect();
            others.iter().for_each(|stack| stacks.rest(stack));
        }
        assert_eq!(last_byte(&running), 7);
        assert!(stacks.warm().len() <= WARM_MAX + 1);
    }
}
