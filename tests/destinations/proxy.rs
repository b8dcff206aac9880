//! A TCP proxy on loopback that spoils what goes through it.
