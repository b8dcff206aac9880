//! HTTP: nginx with DAV.
