# Who orders certificates, proves names, looks orders up and revokes. The engine is mounted at pki-external-ca.
# Covers the modules vault_extca_role_info, vault_extca_order, vault_extca_order_info,
# vault_extca_order_challenge_info, vault_extca_order_challenge_fulfilled, vault_extca_order_certificate,
# vault_extca_order_certificates, vault_extca_certificate, vault_extca_certificate_info,
# vault_extca_certificate_revoke.

path "pki-external-ca/lookup/cert/+" {
  capabilities = ["read"]
}

path "pki-external-ca/lookup/order/+" {
  capabilities = ["read"]
}

path "pki-external-ca/lookup/orders" {
  capabilities = ["list"]
}

path "pki-external-ca/lookup/orders/recent" {
  capabilities = ["list"]
}

path "pki-external-ca/role" {
  capabilities = ["list"]
}

path "pki-external-ca/role/+" {
  capabilities = ["read"]
}

path "pki-external-ca/role/+/active-orders" {
  capabilities = ["list"]
}

path "pki-external-ca/role/+/cached" {
  capabilities = ["read"]
}

path "pki-external-ca/role/+/new-order" {
  capabilities = ["update"]
}

path "pki-external-ca/role/+/order/+/challenge" {
  capabilities = ["read"]
}

path "pki-external-ca/role/+/order/+/fetch-cert" {
  capabilities = ["read"]
}

path "pki-external-ca/role/+/order/+/fulfilled-challenge" {
  capabilities = ["update"]
}

path "pki-external-ca/role/+/order/+/revoke" {
  capabilities = ["update"]
}

path "pki-external-ca/role/+/order/+/status" {
  capabilities = ["read"]
}
