//! How many files and connections this process may have open.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Takes as many as the system lets us have: each connection of an origin is one.
pub fn raise() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // What cannot be had is not needed to begin.
    let _ = setrlimit(Resource::Nofile, limit);
}
