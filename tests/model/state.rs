//! What there is: rows, hints, leases and workers.

/// A job's state, as its row has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum State {
    /// Not submitted yet.
    Absent,
    /// Waits for a worker.
    Queued,
    /// A worker holds it.
    Running,
    /// Finished with a result.
    Succeeded,
    /// Finished without.
    Failed,
    /// Called off.
    Cancelled,
}

impl State {
    /// Whether the job is at its end.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }

    /// Whether the job has been accepted and is not at its end.
    pub const fn is_active(self) -> bool {
        matches!(self, Self::Queued | Self::Running)
    }
}

/// A job's row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Row {
    /// Where it is.
    pub state: State,
    /// The number of its newest attempt.
    pub attempt: u8,
    /// The lease of that attempt, 0 for none.
    pub lease: u8,
    /// How many of its workers have died under it.
    pub crashes: u8,
    /// Whether the running attempt has been told to stop.
    pub cancel_requested: bool,
    /// How many runs have begun that were not handed back.
    pub charged: u8,
}

/// What a worker process is up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Health {
    /// It runs.
    Up,
    /// It stands still, and will go on as if nothing had been: what it sends then is late.
    Paused,
    /// It is dead.
    Down,
}

/// What a worker process has in hand of one job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hand {
    /// Nothing.
    Empty,
    /// A hint that it took from the queue.
    Popped,
    /// It has claimed the job, and the answer was lost.
    Unanswered,
    /// It runs this attempt, under this lease.
    Running(u8, u8),
    /// It has recorded the end of this attempt, and the answer was lost.
    Unconfirmed(u8, u8),
}

/// A worker process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Worker<const JOBS: usize> {
    /// What it is up to.
    pub health: Health,
    /// The lease that it believes to hold.
    pub lease: u8,
    /// What it has in hand of each job.
    pub hands: [Hand; JOBS],
}

/// What must never happen, and has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Wrong {
    /// The end of an attempt that is not the newest was recorded.
    StaleEnd,
    /// A job at its end has moved.
    EndChanged,
    /// A run began that was not to begin any more.
    LateStart,
    /// A worker was told that its attempt's end is stale, and it is the one on record.
    EndDisowned,
}

/// Everything.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct System<const JOBS: usize, const WORKERS: usize> {
    /// The rows.
    pub rows: [Row; JOBS],
    /// How many hints of each job lie in the queue.
    pub hints: [u8; JOBS],
    /// The jobs whose hints are still to be pushed by whoever made them ready.
    pub unpushed: [bool; JOBS],
    /// The worker processes.
    pub workers: [Worker<JOBS>; WORKERS],
    /// The leases that have ended, one bit each.
    pub ended_leases: u16,
    /// The next lease's number.
    pub next_lease: u8,
    /// How many faults may still happen.
    pub faults: u8,
    /// How many jobs clients may still call off.
    pub cancels: u8,
    /// What has gone wrong.
    pub wrong: Option<Wrong>,
}

impl<const JOBS: usize, const WORKERS: usize> System<JOBS, WORKERS> {
    /// Whether a lease has ended by the database's clock.
    pub const fn has_ended(&self, lease: u8) -> bool {
        self.ended_leases & (1 << lease) != 0
    }
}

/// Something that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// A client's job is committed, and answered 202.
    Commit(usize),
    /// The hint of a job that was made ready goes into the queue.
    Push(usize),
    /// A client calls a job off.
    Cancel(usize),
    /// A worker takes a hint.
    Pop(usize, usize),
    /// A worker claims the job of its hint, or asks again after an answer was lost.
    Claim(usize, usize),
    /// An attempt ends with a result.
    Succeed(usize, usize),
    /// An attempt fails, and another is to follow while one is left.
    Retry(usize, usize),
    /// A worker stops an attempt that was called off.
    Stop(usize, usize),
    /// A worker that is told to end hands an attempt back.
    Release(usize, usize),
    /// A worker asks again whether the end of its attempt is recorded.
    Confirm(usize, usize),
    /// A job that kills its worker does.
    Poison(usize, usize),
    /// The dispatcher finds a queued job without a hint.
    Dispatch(usize),
    /// The rescuer takes a running job from a lease that has ended.
    Rescue(usize),
    /// A worker claims a suspect straight from the store.
    ClaimSuspect(usize, usize),
    /// A lease ends whose worker is dead or stands still.
    EndLease(u8),
    /// A dead worker is started again.
    Restart(usize),
    /// A worker that stood still goes on.
    Resume(usize),
    /// A worker sees that its lease has ended, stops what it runs, and opens another.
    NoticeLoss(usize),
    /// Fault: a hint that was to be pushed never is.
    LosePush(usize),
    /// Fault: a hint is lost in the queue.
    LoseHint(usize),
    /// Fault: a hint is there twice.
    DoubleHint(usize),
    /// Fault: a claim is committed and its answer is lost.
    LoseClaimReply(usize, usize),
    /// Fault: an end is committed and the answer is lost.
    LoseEndReply(usize, usize),
    /// Fault: a worker dies.
    Kill(usize),
    /// Fault: a worker stands still.
    Pause(usize),
}
