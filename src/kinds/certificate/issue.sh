# $1 directory, $2 scope (`all` or `certificate`), $3 validity of the certificate in days,
# $4 validity of the authority in days; then the names.
d=$1 what=$2 days=$3 authority_days=$4
shift 4
# An account that can replace these files has the keys of the authority.
only_root "$d"
make_directory "$d" 0:0 0755
enter "$d" || give_up
umask 077
stage || give_up
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
} >./authority.cnf
{
  printf '%s\n' '[req]' 'distinguished_name = name' 'prompt = no' '[name]' 'O = skep' 'CN = server'
  printf '%s\n' '[server]' 'basicConstraints = critical,CA:FALSE' 'keyUsage = critical,digitalSignature'
  printf '%s\n' 'extendedKeyUsage = serverAuth' "subjectAltName = ${names#,}" 'authorityKeyIdentifier = keyid'
} >./server.cnf
if [ "$what" = all ]; then
  openssl req -x509 -sha256 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -config ./authority.cnf \
    -days "$authority_days" -keyout ./ca.key -out ./ca.crt 2>./said || { cat ./said >&2; exit 1; }
else
  cp -- ../ca.key ../ca.crt ./
fi
openssl req -new -sha256 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -config ./server.cnf \
  -keyout ./server.key -out ./server.csr 2>./said || { cat ./said >&2; exit 1; }
openssl x509 -req -sha256 -in ./server.csr -CA ./ca.crt -CAkey ./ca.key -set_serial "0x$(openssl rand -hex 15)" \
  -days "$days" -extfile ./server.cnf -extensions server -out ./server.crt 2>./said || { cat ./said >&2; exit 1; }
openssl verify -CAfile ./ca.crt ./server.crt >/dev/null
chmod 0600 -- ./ca.key ./server.key
chmod 0644 -- ./ca.crt ./server.crt
sync -- ./*.key ./*.crt
# The authority comes first, so that a certificate is never in place without its authority.
for file in ca.key ca.crt server.key server.crt; do
  mv -fT -- "./$file" "../$file"
done
sync -- ..
unstage
