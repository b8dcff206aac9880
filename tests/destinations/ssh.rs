//! SFTP and SCP: OpenSSH.
