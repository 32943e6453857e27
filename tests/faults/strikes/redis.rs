//! Redis emptied, gone, hanging, full, stale, and repeating itself.

use std::time::{Duration, Instant};

use coatcheck_tests::Result;
use nix::sys::signal::Signal;
use rand::{RngExt, rngs::StdRng};
use tokio::{task::block_in_place, time::sleep};

use crate::{
    clients::pause,
    recorder::Recorder,
    watch::{Unmet, submits_within},
    world::World,
};

/// Makes every hint that waits five of it, unless there are many already.
const REPEAT_WAITING: &str = "\
    for _, key in ipairs(redis.call('KEYS', 'coatcheck:{*')) do \
      if redis.call('TYPE', key).ok == 'list' and redis.call('LLEN', key) < 1000 then \
        local hints = redis.call('LRANGE', key, 0, -1) \
        for _ = 1, 4 do for _, hint in ipairs(hints) do redis.call('RPUSH', key, hint) end end \
      end \
    end";

/// Pushes five hints of each of these jobs, whatever has become of it.
const REPEAT_KNOWN: &str = "\
    for _, id in ipairs(ARGV) do \
      local hint = id:gsub('-', ''):gsub('..', function(byte) \
        return string.char(tonumber(byte, 16)) end) \
      for _ = 1, 5 do redis.call('RPUSH', 'coatcheck:{default}:normal', hint) end \
    end";

/// How long an API may take over a submission while Redis is away: it waits for it nowhere.
const WITHOUT_REDIS: Duration = Duration::from_secs(2);

pub(crate) async fn flush(world: &mut World, rng: &mut StdRng) -> Result<Vec<String>> {
    for _ in 0..rng.random_range(2..8) {
        block_in_place(|| world.redis.flush_all())?;
        pause(rng, 20, 150).await;
    }
    Ok(Vec::new())
}

pub(crate) async fn kill(world: &mut World, rng: &mut StdRng) -> Result<Vec<String>> {
    world.redis.kill()?;
    let mut unmet = Unmet::default();
    submits_within(world, WITHOUT_REDIS, &mut unmet).await?;
    pause(rng, 100, 1_200).await;
    block_in_place(|| world.redis.restart())?;
    Ok(unmet.0)
}

pub(crate) async fn hang(world: &mut World, rng: &mut StdRng) -> Result<Vec<String>> {
    world.redis.signal(Signal::SIGSTOP)?;
    let mut unmet = Unmet::default();
    submits_within(world, WITHOUT_REDIS, &mut unmet).await?;
    pause(rng, 500, 2_000).await;
    world.redis.signal(Signal::SIGCONT)?;
    Ok(unmet.0)
}

pub(crate) async fn fill(world: &mut World, rng: &mut StdRng) -> Result<Vec<String>> {
    let set = |world: &World, most: &str| {
        block_in_place(|| world.redis.command(&["CONFIG", "SET", "maxmemory", most]))
    };
    // It has more than that when it is empty: every write is refused.
    set(world, "1mb")?;
    let mut unmet = Unmet::default();
    submits_within(world, WITHOUT_REDIS, &mut unmet).await?;
    pause(rng, 300, 1_500).await;
    set(world, "0")?;
    Ok(unmet.0)
}

pub(crate) async fn restore_stale(world: &mut World, rng: &mut StdRng) -> Result<Vec<String>> {
    block_in_place(|| world.redis.keep_snapshot())?;
    pause(rng, 300, 900).await;
    world.redis.kill()?;
    pause(rng, 0, 300).await;
    block_in_place(|| world.redis.restart_from_snapshot())?;
    Ok(Vec::new())
}

pub(crate) async fn repeat(world: &mut World, recorder: &Recorder) -> Result<Vec<String>> {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_millis(1_000) {
        let known = recorder.known();
        let mut command = vec!["EVAL", REPEAT_KNOWN, "0"];
        command.extend(known.iter().rev().take(20).map(|job| job.id.as_str()));
        block_in_place(|| -> Result<()> {
            world.redis.command(&["EVAL", REPEAT_WAITING, "0"])?;
            world.redis.command(&command)?;
            Ok(())
        })?;
        sleep(Duration::from_millis(50)).await;
    }
    Ok(Vec::new())
}
