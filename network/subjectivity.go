package network

// Constants of the consensus specs (configs and presets of mainnet, and weak-subjectivity.md). Balances are in Gwei.
const (
	safetyDecay                      = 10
	minValidatorWithdrawabilityDelay = 256
	churnLimitQuotient               = 65536
	minPerEpochChurnLimit            = 4
	minPerEpochChurnLimitElectra     = 128_000_000_000
	effectiveBalanceIncrement        = 1_000_000_000
	maxEffectiveBalanceETH           = 32
	maxDepositsPerEpoch              = 16 * 32
)

// WeakSubjectivityPeriod is, in epochs, how long a state can be trusted from Electra on, given the total active balance in
// Gwei: compute_weak_subjectivity_period of consensus-specs specs/electra/weak-subjectivity.md. A state is fresh while
// current_epoch ≤ epoch(state) + period.
func WeakSubjectivityPeriod(totalActiveBalance uint64) uint64 {
	delta := max(minPerEpochChurnLimitElectra, totalActiveBalance/churnLimitQuotient)
	delta -= delta % effectiveBalanceIncrement
	return minValidatorWithdrawabilityDelay + safetyDecay*(totalActiveBalance/(2*delta))/100
}

// WeakSubjectivityPeriodPhase0 is the same before Electra, given the number of active validators and the total active
// balance in Gwei: consensus-specs specs/phase0/weak-subjectivity.md.
func WeakSubjectivityPeriodPhase0(validators, totalActiveBalance uint64) uint64 {
	if validators == 0 {
		return minValidatorWithdrawabilityDelay
	}
	n, t := validators, totalActiveBalance/validators/effectiveBalanceIncrement
	const T, D = uint64(maxEffectiveBalanceETH), safetyDecay
	delta := max(uint64(minPerEpochChurnLimit), n/churnLimitQuotient)
	if t*(200+12*D) < T*(200+3*D) {
		return minValidatorWithdrawabilityDelay + 3*n*D*t/(200*maxDepositsPerEpoch*(T-t))
	}
	byChurn := n * (t*(200+12*D) - T*(200+3*D)) / (600 * delta * (2*t + T))
	byTopUps := n * (200 + 3*D) / (600 * maxDepositsPerEpoch)
	return minValidatorWithdrawabilityDelay + max(byChurn, byTopUps)
}
