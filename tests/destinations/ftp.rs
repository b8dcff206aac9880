//! FTP and FTPS: vsftpd and pyftpdlib.
