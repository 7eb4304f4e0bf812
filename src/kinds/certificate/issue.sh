# $1 directory, $2 scope (`all` or `certificate`), $3 validity of the certificate in days,
# $4 validity of the authority in days; then the names.
d=$1 what=$2 days=$3 authority_days=$4
shift 4
umask 077
mkdir -p -- "$d"
chmod 0755 -- "$d"
t=$(mktemp -d -- "$d/.skep.XXXXXXXX")
trap 'rm -rf -- "$t"' EXIT
trap 'exit 1' HUP INT TERM
names=
for name do
  case $name in
    *:*) names="$names,IP:$name" ;;
    *[!0-9.]*) names="$names,DNS:$name" ;;
    *) names="$names,IP:$name" ;;
  esac
done
# The host's own openssl.cnf is not used, because its content is unknown.
{
  printf '%s\n' '[req]' 'distinguished_name = name' 'prompt = no' 'x509_extensions = authority'
  printf '%s\n' '[name]' 'O = skep' 'CN = authority of this directory'
  printf '%s\n' '[authority]' 'basicConstraints = critical,CA:TRUE,pathlen:0' 'keyUsage = critical,keyCertSign,cRLSign'
  printf '%s\n' 'subjectKeyIdentifier = hash'
} >"$t/authority.cnf"
{
  printf '%s\n' '[req]' 'distinguished_name = name' 'prompt = no' '[name]' 'O = skep' 'CN = server'
  printf '%s\n' '[server]' 'basicConstraints = critical,CA:FALSE' 'keyUsage = critical,digitalSignature'
  printf '%s\n' 'extendedKeyUsage = serverAuth' "subjectAltName = ${names#,}" 'authorityKeyIdentifier = keyid'
} >"$t/server.cnf"
if [ "$what" = all ]; then
  openssl req -x509 -sha256 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -config "$t/authority.cnf" \
    -days "$authority_days" -keyout "$t/ca.key" -out "$t/ca.crt" 2>"$t/said" || { cat "$t/said" >&2; exit 1; }
else
  cp -- "$d/ca.key" "$d/ca.crt" "$t/"
fi
openssl req -new -sha256 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -config "$t/server.cnf" \
  -keyout "$t/server.key" -out "$t/server.csr" 2>"$t/said" || { cat "$t/said" >&2; exit 1; }
openssl x509 -req -sha256 -in "$t/server.csr" -CA "$t/ca.crt" -CAkey "$t/ca.key" -set_serial "0x$(openssl rand -hex 15)" \
  -days "$days" -extfile "$t/server.cnf" -extensions server -out "$t/server.crt" 2>"$t/said" || { cat "$t/said" >&2; exit 1; }
openssl verify -CAfile "$t/ca.crt" "$t/server.crt" >/dev/null
chmod 0600 -- "$t/ca.key" "$t/server.key"
chmod 0644 -- "$t/ca.crt" "$t/server.crt"
sync -- "$t"/*.key "$t"/*.crt
# The authority comes first, so that a certificate is never in place without its authority.
for file in ca.key ca.crt server.key server.crt; do
  mv -fT -- "$t/$file" "$d/$file"
done
sync -- "$d"
