//! Every fault by its name, and what each excuses.

use clap::ValueEnum;
use coatcheck_tests::Result;
use rand::rngs::StdRng;

use super::{
    history::Excuses,
    machine::Machine,
    recorder::Recorder,
    strikes::{handlers, network, postgres, processes, redis},
    world::World,
};

/// What can be done to the product and to what it stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Fault {
    /// `kill -9` of an API.
    KillApi,
    /// `kill -9` of a worker.
    KillWorker,
    /// `kill -9` of every process.
    KillAll,
    /// A process crashes at a named point of its code (needs the build with `failure-points`).
    KillAtPoint,
    /// A worker stands still (SIGSTOP) past its lease, with ends of jobs half recorded, and goes on.
    Zombie,
    /// An API stands still for a while.
    FreezeApi,
    /// Every process is replaced by SIGTERM, one after the other.
    RollingRestart,
    /// The clock of a process is an hour ahead.
    ClockAhead,
    /// The clock of a process is an hour behind.
    ClockBehind,
    /// A job kills every worker that runs it.
    Poison,
    /// Handlers that want all memory, and that write without an end.
    Hogs,
    /// A handler that never ends.
    Endless,
    /// FLUSHALL, again and again.
    RedisFlush,
    /// Redis is killed and comes back empty.
    RedisKill,
    /// Redis stands still.
    RedisHang,
    /// Redis is out of memory.
    RedisFull,
    /// Redis is killed and comes back as it was a while ago.
    RedisStale,
    /// Every hint is there five times, those of finished jobs too.
    RedisRepeat,
    /// Postgres is stopped at once, and started again.
    PostgresStop,
    /// Postgres ends the product's connections.
    BackendsTerminated,
    /// Postgres ends connections in the middle of their COMMIT.
    CommitsTerminated,
    /// Others hold all of Postgres' connections.
    ConnectionsEaten,
    /// Postgres' disk is full.
    DiskFull,
    /// A worker is cut off from the database.
    DatabaseCut,
    /// Nothing passes between a worker and the database, and nobody is told.
    DatabaseSilent,
    /// What the database answers some processes is lost.
    AnswersLost,
    /// What some processes ask of the database is lost.
    RequestsLost,
    /// Every connection to the servers is half-open for good; new ones can be made.
    HalfOpen,
    /// The APIs are cut off from Redis.
    ApiRedisCut,
    /// Everything takes longer on its way to and from the database.
    SlowDatabase,
    /// Everything takes longer on its way to and from Redis.
    SlowRedis,
}

impl Fault {
    /// Its name on the command line.
    pub(crate) fn name(self) -> String {
        self.to_possible_value()
            .map(|value| value.get_name().to_owned())
            .unwrap_or_default()
    }

    /// Why it cannot be had on this machine.
    pub(crate) fn missing(self, machine: &Machine) -> Option<&str> {
        match self {
            Self::KillAtPoint => machine.failure_points.as_ref().err(),
            Self::ClockAhead | Self::ClockBehind => machine.fake_clock.as_ref().err(),
            Self::DiskFull => machine.small_disk.as_ref().err(),
            _ => None,
        }
        .map(String::as_str)
    }

    /// Whether processes end by it.
    pub(crate) const fn kills(self) -> bool {
        matches!(
            self,
            Self::KillApi | Self::KillWorker | Self::KillAll | Self::KillAtPoint | Self::Poison
        )
    }

    /// What it excuses.
    pub(crate) const fn excuses(self) -> Excuses {
        Excuses {
            // Programs outlive a worker that is killed; one that is frozen cannot stop its own.
            side_by_side: matches!(
                self,
                Self::KillWorker | Self::KillAll | Self::KillAtPoint | Self::Poison | Self::Zombie
            ),
            // All of these end workers by SIGTERM.
            handed_back: matches!(
                self,
                Self::RollingRestart | Self::ClockAhead | Self::ClockBehind | Self::KillAtPoint
            ),
            no_resets: matches!(self, Self::RollingRestart),
        }
    }

    /// Does it, for a while that the seed decides. Returns what was to be seen meanwhile and was
    /// not. What it has harmed is healed by it, or by [`World::heal`].
    pub(crate) async fn strike(
        self,
        world: &mut World,
        machine: &Machine,
        recorder: &Recorder,
        rng: &mut StdRng,
    ) -> Result<Vec<String>> {
        match self {
            Self::KillApi => processes::kill_api(world, rng).await,
            Self::KillWorker => processes::kill_worker(world, rng).await,
            Self::KillAll => processes::kill_all(world, rng).await,
            Self::KillAtPoint => processes::kill_at_point(world, rng).await,
            Self::Zombie => processes::zombie(world, recorder, rng).await,
            Self::FreezeApi => processes::freeze_api(world, rng).await,
            Self::RollingRestart => processes::rolling_restart(world, rng).await,
            Self::ClockAhead => processes::wrong_clock(world, machine, "+1h", rng).await,
            Self::ClockBehind => processes::wrong_clock(world, machine, "-1h", rng).await,
            Self::Poison => handlers::poison(world, recorder).await,
            Self::Hogs => handlers::hogs(world, recorder).await,
            Self::Endless => handlers::endless(recorder).await,
            Self::RedisFlush => redis::flush(world, rng).await,
            Self::RedisKill => redis::kill(world, rng).await,
            Self::RedisHang => redis::hang(world, rng).await,
            Self::RedisFull => redis::fill(world, rng).await,
            Self::RedisStale => redis::restore_stale(world, rng).await,
            Self::RedisRepeat => redis::repeat(world, recorder).await,
            Self::PostgresStop => postgres::stop(world, rng).await,
            Self::BackendsTerminated => postgres::terminate(world, rng).await,
            Self::CommitsTerminated => postgres::terminate_commits(world).await,
            Self::ConnectionsEaten => postgres::eat_connections(world, rng).await,
            Self::DiskFull => postgres::fill_disk(world, rng).await,
            Self::DatabaseCut => network::cut_database(world, recorder, rng).await,
            Self::DatabaseSilent => network::silence_database(world, recorder, rng).await,
            Self::AnswersLost => network::lose_answers(world, rng).await,
            Self::RequestsLost => network::lose_requests(world, rng).await,
            Self::HalfOpen => network::forget(world, rng).await,
            Self::ApiRedisCut => network::cut_redis(world, rng).await,
            Self::SlowDatabase => network::slow_database(world, rng).await,
            Self::SlowRedis => network::slow_redis(world, rng).await,
        }
    }
}
