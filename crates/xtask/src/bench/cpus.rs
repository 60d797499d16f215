//! Which CPUs everything runs on.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::Result;

/// The CPUs that this process may use.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cpus(CpuSet);

impl Cpus {
    pub(crate) fn allowed() -> Result<Self> {
        Ok(Self(sched_getaffinity(None)?))
    }

    pub(crate) fn count(&self) -> usize {
        usize::try_from(self.0.count()).unwrap_or(0)
    }

    /// Lets this thread run on all of them again, and what it starts from now on.
    pub(crate) fn use_all(&self) -> Result {
        Ok(sched_setaffinity(None, &self.0)?)
    }

    /// Binds this thread, and with it every thread and process that it starts from now on, to the last one. A wake-up then
    /// costs the same each time, and nobody gains from another's waiting.
    pub(crate) fn use_one(&self) -> Result {
        self.use_last(1)
    }

    /// The same, to the last two.
    pub(crate) fn use_two(&self) -> Result {
        self.use_last(2)
    }

    fn use_last(&self, count: usize) -> Result {
        let mut last = CpuSet::new();
        (0..CpuSet::MAX_CPU)
            .rev()
            .filter(|cpu| self.0.is_set(*cpu))
            .take(count)
            .for_each(|cpu| last.set(cpu));
        if usize::try_from(last.count())? < count {
            return Err(format!("this takes {count} CPUs, and there are {}", self.count()).into());
        }
        Ok(sched_setaffinity(None, &last)?)
    }
}
