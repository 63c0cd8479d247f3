using Stig.Model.Evaluation;
using Stig.Model.Execution;
using Stig.Model.Graphs;
using Stig.Model.Imaging;
using Stig.Model.Operations;

namespace Stig.Cli.Commands.Bench;

/// <summary>
/// The plainest way to give fakes the spread of real images, for comparison: the filter, and on every square ring of
/// <see cref="SpectralFeatures"/> the image's own deviation from the mean of the fakes, scaled by the ratio of the reals' standard
/// deviation to the fakes'.
/// </summary>
internal sealed class BandWidening
{
    private const int ProtectedRadius = 8;

    private readonly int size;
    private readonly int[] bandOf;
    private readonly float[] filter;
    private readonly double[] means;
    private readonly double[] scales;

    /// <summary>Fits it.</summary>
    public BandWidening(int size, RgbImage[] reals, RgbImage[] fakes)
    {
        this.size = size;
        IReadOnlyList<int> edges = SpectralFeatures.BandEdges(size);
        bandOf = [.. Enumerable.Range(0, size * size).Select(i =>
        {
            int ring = Math.Max(Math.Abs((i / size) - (size / 2)), Math.Abs((i % size) - (size / 2)));
            return Enumerable.Range(0, edges.Count - 1).Last(k => ring >= edges[k]);
        })];
        using var spectra = new SpectrumAnalyzer(new ImageExtents(size, size));
        float[][] Analyze(RgbImage[] images) => [.. images.Select(image => spectra.Analyze(Planes(image)))];
        float[][] real = Analyze(reals);
        float[][] fake = Analyze(fakes);
        filter = new float[3 * size * size];
        for (int i = 0; i < filter.Length; i++)
        {
            filter[i] = IsProtected(i) ? 0 : real.Average(m => m[i]) - fake.Average(m => m[i]);
        }

        double[][] realBands = [.. real.Select(Bands)];
        double[][] fakeBands = [.. fake.Select(m => Bands([.. m.Zip(filter, (a, b) => a + b)]))];
        means = [.. Enumerable.Range(0, edges.Count - 1).Select(k => fakeBands.Average(b => b[k]))];
        scales = [.. means.Select((_, k) => Deviation(realBands, k) / Deviation(fakeBands, k))];
    }

    /// <summary>Refines an image.</summary>
    public RgbImage Refine(RgbImage image)
    {
        using Executor executor = Device.Open("cpu", DevicePurpose.Refinement, winograd: false);
        using TensorStore store = executor.CreateStore();
        var graph = new Graph();
        Value x = graph.Input("x", TensorType.Float(1, 3, size, size));
        Value change = graph.Input("change", TensorType.Float(1, 3, size, size));
        (Value magnitude, Value phasor) = graph.LogSpectrum(x);
        graph.Output("magnitude", magnitude);
        Value result = graph.Output("result", graph.UnitClamp(graph.InverseSpectrum(
            graph.Relu(graph.Add(magnitude, change)), phasor, ImageComponent.Modulus, FinalShift.Inverse)));
        using Model.Execution.Program program = executor.Compile(graph, store);
        program.Write<float>(x, Planes(image));
        program.Run();
        float[] own = [.. program.Read(magnitude).Zip(filter, (a, b) => a + b)];
        double[] bands = Bands(own);
        float[] changes = [.. filter.Select((value, i) =>
        {
            int band = bandOf[i % (size * size)];
            return IsProtected(i) ? 0 : value + (float)((scales[band] - 1) * (bands[band] - means[band]));
        })];
        program.Write<float>(change, changes);
        program.Run();
        return RgbImage.FromPlanar(program.Read(result), size, size);
    }

    private bool IsProtected(int index)
    {
        int y = (index / size % size) - (size / 2);
        int x = (index % size) - (size / 2);
        return (y * y) + (x * x) <= ProtectedRadius * ProtectedRadius;
    }

    private double[] Bands(float[] magnitude)
    {
        double[] sums = new double[bandOf.Max() + 1];
        double[] counts = new double[sums.Length];
        for (int i = 0; i < magnitude.Length; i++)
        {
            int band = bandOf[i % bandOf.Length];
            sums[band] += magnitude[i];
            counts[band]++;
        }

        return [.. sums.Zip(counts, (sum, count) => sum / count)];
    }

    private static double Deviation(double[][] values, int k)
    {
        double mean = values.Average(v => v[k]);
        return Math.Sqrt(values.Average(v => (v[k] - mean) * (v[k] - mean)));
    }

    private static float[] Planes(RgbImage image)
    {
        float[] planes = new float[3 * image.Height * image.Width];
        image.ToPlanar(planes);
        return planes;
    }
}
