//! Object storage: SeaweedFS, Azurite, and an emulator of Google's.
