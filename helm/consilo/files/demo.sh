# A run of three hospitals, as their operators would make it with the command line. It may be repeated: what is done
# already changes nothing. Environment: RUN, PARTNERS (names of the other hospitals), STORE (host of the store).
set -eu
say() { printf '\n== %s\n' "$*"; }
me=/identities/self

for hospital in $PARTNERS; do
    say "$hospital registers"
    consilo organisation register --identity "/identities/$hospital" --ca "/roots/$hospital/ca.pem" \
        --url "$CONSILO_GATEWAY" --store "$STORE" --patience 300
done

if ! consilo run show "$RUN" --identity $me --patience 300 > /dev/null 2>&1; then
    say "The first hospital proposes the run $RUN"
    consilo run propose /demo/run.toml --name "$RUN" --identity $me --patience 300
fi
for hospital in $PARTNERS; do
    say "$hospital approves it"
    consilo run approve "$RUN" --identity "/identities/$hospital" --yes --patience 60 > /tmp/approved
    tail -n 1 /tmp/approved
done

say "The silos train"
consilo run watch "$RUN" --identity $me --patience 300

say "The global model"
consilo model list "$RUN" --identity $me

say "Everything is checked again, from the ledger's blocks and the store"
consilo verify "$RUN" --identity $me --patience 60
