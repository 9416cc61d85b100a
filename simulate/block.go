package simulate

import (
	"encoding/binary"
	"encoding/hex"

	"github.com/checkpoint-exporter/checkpoint_exporter/network"
)

// blockExtra is the recorded extra_data of geth's blocks.
var blockExtra = []byte("\xd8\x83\x01\x10\t\x84geth\x88go1.26.8\x85linux")

// Constants that every block of an idle execution chain has, and addresses of the recorded chains.
const (
	emptyTrie       = "0x56e81f171bcc55a6ff8345e692c0f86e5b48e01b996cadc001622fb5e363b421"
	emptyUncles     = "0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347"
	emptyRequests   = "0xe3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	gasLimit        = 60_000_000
	feeRecipient    = "0x123463a4b065722e99115d6c222f267d9cabb524"
	depositContract = "0x4242424242424242424242424242424242424242"
)

// block is the block of a slot with one attestation and no transaction, as on an idle chain.
type block struct {
	ledger     ledger
	slot       uint64
	validators int
}

func hexed(b []byte) string { return "0x" + hex.EncodeToString(b) }

func (b block) signature() []byte { return b.ledger.bytes("signature", b.slot, 96) }

// attested is the slot that the block's attestation is about.
func (b block) attested() uint64 { return b.ledger.blockAt(b.slot - min(b.slot, 1)) }

func (b block) timestamp() uint64 {
	return uint64(b.ledger.chain.SlotTime(b.slot).Unix())
}

// checkpoints are the source and the target of the attestation.
func (b block) checkpoints() (source, target checkpoint) {
	e := b.ledger.chain.EpochOf(b.attested())
	return b.ledger.checkpoint(e - min(e, 1)), b.ledger.checkpoint(e)
}

// json is the signed block as the Beacon API's JSON.
func (b block) json() map[string]any {
	l, slot := b.ledger, b.slot
	source, target := b.checkpoints()
	point := func(c checkpoint) any {
		return map[string]any{"epoch": dec(c.epoch), "root": c.root.String()}
	}
	random := func(purpose string, n int) string { return hexed(l.bytes(purpose, slot, n)) }
	return map[string]any{
		"signature": hexed(b.signature()),
		"message": map[string]any{
			"slot": dec(slot), "proposer_index": dec(l.proposer(slot, b.validators)),
			"parent_root": l.parentRoot(slot).String(), "state_root": l.stateRoot(slot).String(),
			"body": map[string]any{
				"randao_reveal": random("randao", 96),
				"eth1_data":     map[string]any{"deposit_root": random("deposit_root", 32), "deposit_count": "0", "block_hash": random("eth1", 32)},
				"graffiti":      hexed(make([]byte, 32)), "proposer_slashings": []any{}, "attester_slashings": []any{},
				"attestations": []any{map[string]any{
					"aggregation_bits": "0x03",
					"data": map[string]any{
						"slot": dec(b.attested()), "index": "0", "beacon_block_root": l.blockRoot(b.attested()).String(),
						"source": point(source), "target": point(target),
					},
					"signature": random("attestation", 96), "committee_bits": "0x0100000000000000",
				}},
				"deposits": []any{}, "voluntary_exits": []any{},
				"sync_aggregate": map[string]any{"sync_committee_bits": hexed(make([]byte, 64)), "sync_committee_signature": random("sync", 96)},
				"execution_payload": map[string]any{
					"parent_hash": l.parentHash(slot).String(), "fee_recipient": feeRecipient, "state_root": random("execution_state", 32),
					"receipts_root": emptyTrie, "logs_bloom": hexed(make([]byte, 256)), "prev_randao": random("prev_randao", 32),
					"block_number": dec(slot), "gas_limit": dec(gasLimit), "gas_used": "0", "timestamp": dec(b.timestamp()),
					"extra_data": hexed(blockExtra), "base_fee_per_gas": "7", "block_hash": l.blockHash(slot).String(),
					"transactions": []any{}, "withdrawals": []any{}, "blob_gas_used": "0", "excess_blob_gas": "0",
				},
				"bls_to_execution_changes": []any{}, "blob_kzg_commitments": []any{},
				"execution_requests": map[string]any{"deposits": []any{}, "withdrawals": []any{}, "consolidations": []any{}},
			},
		},
	}
}

// header is the message of the block's header.
func (b block) header() map[string]any {
	l := b.ledger
	return map[string]any{
		"slot": dec(b.slot), "proposer_index": dec(l.proposer(b.slot, b.validators)), "parent_root": l.parentRoot(b.slot).String(),
		"state_root": l.stateRoot(b.slot).String(), "body_root": l.bodyRoot(b.slot).String(),
	}
}

// ssz is the SignedBeaconBlock of Electra and Fulu: consensus-specs specs/electra/beacon-chain.md.
func (b block) ssz() []byte {
	l, slot := b.ledger, b.slot
	u64, u32 := binary.LittleEndian.AppendUint64, binary.LittleEndian.AppendUint32
	root := func(out []byte, r network.Root) []byte { return append(out, r[:]...) }
	random := func(purpose string, n int) []byte { return l.bytes(purpose, slot, n) }
	source, target := b.checkpoints()

	attestation := u32(nil, 236)
	attestation = root(u64(u64(attestation, b.attested()), 0), l.blockRoot(b.attested()))
	attestation = root(u64(attestation, source.epoch), source.root)
	attestation = root(u64(attestation, target.epoch), target.root)
	attestation = append(append(attestation, random("attestation", 96)...), 1, 0, 0, 0, 0, 0, 0, 0, 3)
	attestations := append(u32(nil, 4), attestation...)

	payload := root(nil, l.parentHash(slot))
	payload = append(append(payload, unhex(feeRecipient)...), random("execution_state", 32)...)
	payload = append(append(payload, unhex(emptyTrie)...), make([]byte, 256)...)
	payload = append(payload, random("prev_randao", 32)...)
	payload = u64(u64(u64(u64(payload, slot), gasLimit), 0), b.timestamp())
	payload = u32(payload, 528)
	payload = append(append(payload, 7), make([]byte, 31)...)
	payload = root(payload, l.blockHash(slot))
	end := uint32(528 + len(blockExtra))
	payload = u64(u64(u32(u32(payload, end), end), 0), 0)
	payload = append(payload, blockExtra...)
	requests := u32(u32(u32(nil, 12), 12), 12)

	const fixed = 396
	at := uint32(fixed)
	body := append(append([]byte(nil), random("randao", 96)...), random("deposit_root", 32)...)
	body = append(u64(body, 0), random("eth1", 32)...)
	body = append(body, make([]byte, 32)...)
	var tail []byte
	variable := func(field []byte) {
		body = u32(body, at)
		at += uint32(len(field))
		tail = append(tail, field...)
	}
	variable(nil) // proposer_slashings
	variable(nil) // attester_slashings
	variable(attestations)
	variable(nil) // deposits
	variable(nil) // voluntary_exits
	body = append(append(body, make([]byte, 64)...), random("sync", 96)...)
	variable(payload)
	variable(nil) // bls_to_execution_changes
	variable(nil) // blob_kzg_commitments
	variable(requests)

	out := append(u32(nil, 100), b.signature()...)
	out = u64(u64(out, slot), l.proposer(slot, b.validators))
	out = u32(root(root(out, l.parentRoot(slot)), l.stateRoot(slot)), 84)
	return append(append(out, body...), tail...)
}

// parentHash is the execution block's; zero for the genesis.
func (l ledger) parentHash(slot uint64) network.Root {
	if slot == 0 {
		return network.Root{}
	}
	return l.blockHash(l.blockAt(slot - 1))
}

// unhex reads this file's own constants.
func unhex(s string) []byte {
	b, _ := hex.DecodeString(s[2:])
	return b
}
