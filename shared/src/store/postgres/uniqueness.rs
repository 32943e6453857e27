//! Who holds a unique key.

crate::store::uniqueness::define_uniqueness!(sqlx::Postgres, lock: " FOR UPDATE");
