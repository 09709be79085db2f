DROP TABLE connection_credentials;
