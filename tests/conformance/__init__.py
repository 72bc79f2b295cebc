"""Every message of OCPP against the official schemas: what is sent, answered, received, spoilt. Finds new messages by itself."""
