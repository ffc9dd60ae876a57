# Who sets the engine up: mounts, ACME accounts, roles, DNS providers. The engine is mounted at pki-external-ca.
# Covers the modules vault_extca_mount, vault_extca_acme_account, vault_extca_acme_account_info,
# vault_extca_acme_account_rotate_key, vault_extca_role, vault_extca_role_info, vault_extca_dns_provider,
# vault_extca_dns_provider_info, vault_extca_dns_provider_test.

path "sys/mounts" {
  capabilities = ["read"]
}

path "sys/mounts/pki-external-ca" {
  capabilities = ["delete", "update"]
}

path "sys/mounts/pki-external-ca/tune" {
  capabilities = ["update"]
}

path "pki-external-ca/config/acme-account" {
  capabilities = ["list"]
}

path "pki-external-ca/config/acme-account/+" {
  capabilities = ["create", "delete", "read", "update"]
}

path "pki-external-ca/config/acme-account/+/import" {
  capabilities = ["create"]
}

path "pki-external-ca/config/acme-account/+/rotate-key" {
  capabilities = ["update"]
}

path "pki-external-ca/config/dns" {
  capabilities = ["list"]
}

path "pki-external-ca/config/dns/+" {
  capabilities = ["list"]
}

path "pki-external-ca/config/dns/+/+" {
  capabilities = ["create", "delete", "read", "update"]
}

path "pki-external-ca/dns/test/workflow" {
  capabilities = ["update"]
}

path "pki-external-ca/lookup/orders" {
  capabilities = ["list"]
}

path "pki-external-ca/role" {
  capabilities = ["list"]
}

path "pki-external-ca/role/+" {
  capabilities = ["create", "delete", "read", "update"]
}
