namespace Stig.SelfTest;

/// <summary>
/// How far a result may be from its oracle: both the norm of the error relative to the norm of the oracle, and the largest error relative
/// to the oracle's largest magnitude. A bound of zero asks for equality after rounding the oracle to the result's type.
/// </summary>
/// <param name="RelativeL2">Largest ||result - oracle|| / ||oracle||.</param>
/// <param name="Maximum">Largest max|result - oracle| / max|oracle|.</param>
/// <param name="Reason">Why this much and no more.</param>
internal sealed record Bound(double RelativeL2, double Maximum, string Reason)
{
    /// <summary>Rounding error of one float32 operation, 2^-24.</summary>
    public const double Rounding = 1.0 / (1 << 24);

    public static Bound Exact { get; } = new(0, 0, "values are moved or computed in integers");

    /// <summary>A few float32 operations an element.</summary>
    public static Bound Elementwise { get; } = new(4 * Rounding, 8 * Rounding, "a handful of float32 roundings an element");

    /// <summary>A transcendental function in float32, which libraries and vector code approximate to a few units in the last
    /// place.</summary>
    public static Bound Transcendental { get; } =
        new(16 * Rounding, 32 * Rounding, "exp or log approximated to a few units in the last place, and a handful of roundings");

    /// <summary>A float32 sum of that many products: roundings add up like a random walk; the factors cover unlucky values
    /// and orders.</summary>
    public static Bound Accumulation(int terms, string what) =>
        new((4 + (2 * Math.Sqrt(terms))) * Rounding, (8 + (8 * Math.Sqrt(terms))) * Rounding, $"float32 accumulation over {what}");
}
