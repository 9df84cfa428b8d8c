#!/bin/sh
# Runs in moby/buildkit: builds the files mounted at /context on $BASE and pushes them as $REFERENCE, with labels and
# BuildKit's provenance, unless the registry has that image. $BUILDKIT is the image that this runs in.
# Arguments are passed to the build. Secrets, where mounted: /secrets/push/.dockerconfigjson, /secrets/pip/{pip.conf,ca.crt}.
# Where the site has them: $AUTHORITIES, a file of certificates that is trusted beside the image's own; $PROXY, with
# $PROXY_USERNAME, $PROXY_PASSWORD and $NO_PROXY. Steps of a build get both as secrets, which no layer and no record has.
# What was resolved is pushed as $REFERENCE.record, with the bill of materials, and told in the termination message: a
# name and a reference a line.
set -eu
export HOME=/state TMPDIR=/state
export BUILDKITD_FLAGS="--root=/state/buildkit --config=/context/buildkitd.toml --oci-worker-net=host"
mkdir -p /state/.docker /state/context /state/probe /state/record
[ ! -e /secrets/push/.dockerconfigjson ] || cp /secrets/push/.dockerconfigjson /state/.docker/config.json
cp -rL /context/. /state/context

# Prints a text for the user part of an address.
encoded() { printf %s "$1" | od -An -v -tx1 | tr -d '\n' | tr ' ' %; }

if [ -n "${AUTHORITIES:-}" ]; then
  cat /etc/ssl/certs/ca-certificates.crt "$AUTHORITIES" > /state/trusted.crt
  export SSL_CERT_FILE=/state/trusted.crt
  set -- "$@" --secret=id=ca.crt,src=/state/trusted.crt
fi
if [ -n "${PROXY:-}" ]; then
  if [ -n "${PROXY_USERNAME:-}" ]; then
    PROXY="${PROXY%%//*}//$(encoded "$PROXY_USERNAME"):$(encoded "$PROXY_PASSWORD")@${PROXY#*//}"
  fi
  for name in HTTPS_PROXY https_proxy HTTP_PROXY http_proxy; do echo "export $name='$PROXY'"; done > /state/proxy
  for name in NO_PROXY no_proxy; do echo "export $name='${NO_PROXY:-}'"; done >> /state/proxy
  # shellcheck source=/dev/null
  . /state/proxy
  set -- "$@" --secret=id=proxy,src=/state/proxy
fi

# build FOLDER ARGUMENT…
build() {
  folder=$1
  shift
  buildctl-daemonless.sh build --progress=plain --frontend=dockerfile.v0 \
    --local=dockerfile="$folder" --local=context="$folder" "$@"
}

# Prints NAME@DIGEST of an image, where its registry has it. BuildKit names the digest in its progress and, as nothing
# is done with the image, does not pull it.
resolved() {
  echo "FROM $1" > /state/probe/Dockerfile
  build /state/probe > /state/log 2>&1 || return
  digest=$(sed -n 's/.*FROM [^ ]*@\(sha256:[0-9a-f]*\).*/\1/p' /state/log | head -n 1)
  echo "${1%@*}@$digest"
}

tell() { { cat /state/record/resolved || true; echo "image $1"; } > /dev/termination-log; }

if image=$(resolved "$REFERENCE"); then
  echo "$image is in the registry already"
  echo "FROM $REFERENCE.record" > /state/probe/Dockerfile
  build /state/probe --output=type=local,dest=/state/record || echo "and what it was built from is not recorded" >&2
  tell "$image"
  exit
fi

pinned=$(resolved "$BASE") || { cat /state/log >&2; exit 1; }
builder=$(resolved "$BUILDKIT") || builder=$BUILDKIT
printf 'base %s\nbuildkit %s\n' "$pinned" "$builder" > /state/record/resolved
cp /state/context/*.cdx.json /state/record 2> /dev/null || true
printf 'FROM scratch\nCOPY resolved *.cdx.json /\n' > /state/record/Dockerfile
build /state/record --output="type=image,name=$REFERENCE.record,push=true,oci-mediatypes=true"

for secret in pip.conf ca.crt; do
  if [ -e "/secrets/pip/$secret" ]; then set -- "$@" "--secret=id=$secret,src=/secrets/pip/$secret"; fi
done
build /state/context "$@" \
  --opt=build-arg:BASE="$pinned" \
  --opt=label:org.opencontainers.image.base.name="${pinned%@*}" \
  --opt=label:org.opencontainers.image.base.digest="${pinned##*@}" \
  --opt=label:deepseek-on-kubernetes/buildkit="$builder" \
  --opt=attest:provenance=mode=max \
  --output="type=image,name=$REFERENCE,push=true,oci-mediatypes=true,compression=zstd,compression-level=1"
tell "$(resolved "$REFERENCE")"
