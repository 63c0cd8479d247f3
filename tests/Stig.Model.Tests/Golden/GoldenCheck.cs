using System.Globalization;

namespace Stig.Model.Tests.Golden;

/// <summary>
/// Compares tensors with those of a file and reports all that differ at once. Reference tensors that the file lacks make the
/// test a skip that names them, after everything else has been compared.
/// </summary>
internal sealed class GoldenCheck(GoldenFile file)
{
    private readonly List<string> failures = [];
    private readonly List<string> missing = [];
    private int compared;

    public GoldenFile File => file;

    /// <summary>Whether the file has the tensor; if not, it will be named in the skip.</summary>
    public bool Expects(string tensor)
    {
        if (file.Has(tensor))
        {
            return true;
        }

        missing.Add(tensor);
        return false;
    }

    /// <summary>Compares a tensor with the one of that name, by the rule for it.</summary>
    public void Tensor(string tensor, ReadOnlySpan<float> actual) => Tensor(tensor, actual, Tolerance.Of(file.Name, tensor));

    /// <summary>Compares a tensor with the one of that name.</summary>
    public void Tensor(string tensor, ReadOnlySpan<float> actual, Tolerance tolerance)
    {
        if (Expects(tensor))
        {
            Values(tensor, actual, file.Floats(tensor), tolerance);
        }
    }

    /// <summary>Compares values that are derived from stored ones.</summary>
    public void Values(string what, ReadOnlySpan<float> actual, ReadOnlySpan<float> expected, Tolerance tolerance)
    {
        if (actual.Length != expected.Length)
        {
            failures.Add($"{what}: {actual.Length} values, the reference has {expected.Length}");
            return;
        }

        double difference = 0;
        double norm = 0;
        double largest = 0;
        for (int i = 0; i < actual.Length; i++)
        {
            double d = (double)actual[i] - expected[i];
            difference += d * d;
            norm += (double)expected[i] * expected[i];
            // NaN must not pass for small.
            largest = Math.Abs(d) <= largest ? largest : Math.Abs(d);
        }

        double relative = Math.Sqrt(norm > 0 ? difference / norm : difference);
        Measured(what, tolerance, tolerance.Measure == Measure.Largest ? largest : relative);
    }

    /// <summary>
    /// Compares phases modulo 2 pi, weighted by |F|: the phase of a weak bin is uncertain, and F is what the inverse
    /// transform takes.
    /// </summary>
    /// <param name="tensor">Name of the reference's phase, radians.</param>
    /// <param name="phasor">F / |F|, real and imaginary parts in turn.</param>
    /// <param name="magnitude">ln(1 + |F|).</param>
    public void Phase(string tensor, ReadOnlySpan<float> phasor, ReadOnlySpan<float> magnitude)
    {
        if (!Expects(tensor))
        {
            return;
        }

        float[] phase = file.Floats(tensor);
        float[] actual = new float[phasor.Length];
        float[] expected = new float[phasor.Length];
        for (int i = 0; i < phase.Length; i++)
        {
            double weight = double.Exp(magnitude[i]) - 1;
            (double sin, double cos) = Math.SinCos(phase[i]);
            actual[2 * i] = (float)(weight * phasor[2 * i]);
            actual[(2 * i) + 1] = (float)(weight * phasor[(2 * i) + 1]);
            expected[2 * i] = (float)(weight * cos);
            expected[(2 * i) + 1] = (float)(weight * sin);
        }

        Values(tensor, actual, expected, new Tolerance(Measure.RelativeL2, Tolerance.Floor));
    }

    /// <summary>Notes a measured difference.</summary>
    public void Measured(string what, Tolerance tolerance, double error)
    {
        compared++;
        TestContext.Current.TestOutputHelper?.WriteLine(string.Create(
            CultureInfo.InvariantCulture, $"{what}: {tolerance.Measure} {error:g3}, allowed {tolerance.Bound:g3}"));
        if (!(error <= tolerance.Bound))
        {
            failures.Add(string.Create(
                CultureInfo.InvariantCulture, $"{what}: {tolerance.Measure} {error:g3}, allowed {tolerance.Bound:g3}"));
        }
    }

    /// <summary>Fails with all differences, or skips with all that was missing.</summary>
    public void Finish()
    {
        Assert.True(failures.Count == 0, $"{file.Name}: {failures.Count} of {compared} differ:\n" + string.Join('\n', failures));
        Assert.SkipWhen(missing.Count > 0, $"{file.Name} has no tensor {string.Join(", ", missing)}.");
        Assert.True(compared > 0, $"{file.Name}: nothing was compared.");
    }
}
