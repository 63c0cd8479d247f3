namespace Stig.Model.Tests.Golden;

/// <summary>
/// Tolerance of spectra that are scaled by their smallest value but not named like one: the weakest bins are uncertain by up to 1e-4 of a
/// magnitude.
/// </summary>
internal static class ScaledSpectrum
{
    private const double Floor = 1e-4;

    public static Tolerance Tolerance(string file, string tensor)
    {
        Tolerance general = Golden.Tolerance.Of(file, tensor);
        return general with { Bound = Math.Max(general.Bound, Floor) };
    }
}
