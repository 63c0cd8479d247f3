using Stig.Model.Evaluation;
using Stig.Model.Execution;
using Stig.Model.Graphs;
using Stig.Model.Networks;
using Stig.Model.Operations;

namespace Stig.Model.Translation;

/// <summary>
/// Fits <see cref="LevelTransport"/> (docs/method.md, "Levels"). In a basis of one luminance and two colour differences, every level of the
/// refined fakes shall have the mean and the standard deviation that it has over the real images. Measured are the refined images
/// themselves, rounded to 8 bits: near the floor of a spectrum the rounding decides its level. So the map is found by
/// iteration: rounds over the fakes, each followed by <see cref="Correct"/>.
/// </summary>
internal sealed class LevelFitter : IDisposable
{
    /// <summary>Rounds over the fakes.</summary>
    public const int Rounds = 16;

    private const int Channels = 3;

    // More than the difference is made up for in a round: a change of a level near the floor comes out smaller than it goes in.
    private const double Relaxation = 1.5;

    // Bounds of the factor by which deviations are scaled: a spread estimated from few images is not to be trusted further.
    private const double MaxScale = 6;

    private const double SmallestSpread = 0.02;

    // A score of 0.5, half of what images of the fit have, opens the gate to 0.993.
    private const double GateSharpness = 10;

    // Luminance and two colour differences, orthonormal: rows of Q.
    private static readonly double[,] Basis =
    {
        { 1 / Math.Sqrt(3), 1 / Math.Sqrt(3), 1 / Math.Sqrt(3) },
        { 1 / Math.Sqrt(2), -1 / Math.Sqrt(2), 0 },
        { -1 / Math.Sqrt(6), -1 / Math.Sqrt(6), 2 / Math.Sqrt(6) },
    };

    private readonly TensorStore store;
    private readonly Program program;
    private readonly Value image;
    private readonly Value imageLevels;
    private readonly Value filteredLevels;
    private readonly Value refinedLevels;
    private readonly int nodes;
    private readonly float[] buffer;
    private readonly Moments real;
    private readonly List<double[]> realLevels = [];
    private readonly List<double[]> fakeLevels = [];
    private readonly double[] offset;
    private readonly double[] scale;
    private readonly Moments filtered;
    private Moments refined;
    private bool corrected;

    /// <summary>Prepares to fit.</summary>
    /// <param name="executor">Where to compute.</param>
    /// <param name="size">Height and width of the images.</param>
    /// <param name="filter">The filter, [3, size, size].</param>
    public LevelFitter(Executor executor, int size, ReadOnlySpan<float> filter)
    {
        int grid = LevelTransport.GridOf(size);
        nodes = grid * grid;
        int length = Channels * nodes;
        buffer = new float[length];
        real = new Moments(length);
        filtered = new Moments(length);
        refined = new Moments(length);
        offset = new double[length];
        scale = new double[length];
        Array.Fill(scale, 1);
        store = executor.CreateStore();
        store.Create(Translator.FilterName, new Shape(Channels, size, size), filter);
        foreach (ParameterSpec spec in LevelTransport.Parameters(grid))
        {
            store.Create(spec.Name, spec.Shape, buffer);
        }

        var graph = new Graph();
        image = graph.Input("image", TensorType.Float(1, Channels, size, size));
        (Value magnitude, Value phasor) = graph.LogSpectrum(image);
        imageLevels = graph.Output("image_levels", LevelTransport.Levels(graph, magnitude, grid));
        (Value moved, filteredLevels) = Translator.ClosedForm(graph, grid, magnitude, graph.Parameter(Translator.FilterName, new Shape(Channels, size, size)));
        graph.Output("filtered_levels", filteredLevels);
        Value result = graph.InverseSpectrum(graph.Relu(graph.Add(magnitude, moved)), phasor, ImageComponent.Modulus, FinalShift.Inverse);
        refinedLevels = graph.Output("refined_levels", LevelTransport.Levels(graph, graph.LogSpectrum(graph.EightBit(result)).Magnitude, grid));
        program = executor.Compile(graph, store);
    }

    /// <summary>Adds a real image, [3, S, S] in [0, 1].</summary>
    public void AddReal(ReadOnlySpan<float> planes)
    {
        Run(planes);
        real.Add(Read(imageLevels, rotate: true));
        realLevels.Add(Read(imageLevels, rotate: false));
    }

    /// <summary>Adds a fake image, [3, S, S] in [0, 1], to the round at hand.</summary>
    public void AddFake(ReadOnlySpan<float> planes)
    {
        Run(planes);
        if (!corrected)
        {
            filtered.Add(Read(filteredLevels, rotate: true));
            fakeLevels.Add(Read(imageLevels, rotate: false));
        }

        refined.Add(Read(refinedLevels, rotate: true));
    }

    /// <summary>Ends a round: brings the map nearer to the levels of the real images.</summary>
    /// <exception cref="InvalidOperationException">There are fewer than two real or fake images.</exception>
    public void Correct()
    {
        if (Math.Min(real.Count, refined.Count) < 2)
        {
            throw new InvalidOperationException("Levels need at least two real and two fake images.");
        }

        for (int i = 0; i < offset.Length; i++)
        {
            double wanted = Math.Max(real.Deviation(i), SmallestSpread);
            double present = Math.Max(refined.Deviation(i), SmallestSpread / 10);
            offset[i] = Math.Clamp(offset[i] + (Relaxation * (real.Mean(i) - refined.Mean(i))), -LevelTransport.Limit, LevelTransport.Limit);
            scale[i] = Math.Clamp(scale[i] * Math.Pow(wanted / present, Relaxation), 1 / MaxScale, MaxScale);
        }

        corrected = true;
        refined = new Moments(offset.Length);
        foreach ((string name, float[] values) in Fit())
        {
            store.Write(name, values);
        }
    }

    /// <summary>The tensors of the map as the last <see cref="Correct"/> left it; before the first one it changes nothing.</summary>
    public IReadOnlyDictionary<string, float[]> Fit()
    {
        // change = Q^T (offset + (scale - 1) (Q level - mean)), its matrix by differences of channels as the graph adds it up.
        var constant = new float[Channels * nodes];
        var mixing = new float[Channels][];
        for (int k = 0; k < Channels; k++)
        {
            mixing[k] = new float[Channels * nodes];
        }

        for (int node = 0; node < nodes && corrected; node++)
        {
            for (int c = 0; c < Channels; c++)
            {
                for (int j = 0; j < Channels; j++)
                {
                    int i = (j * nodes) + node;
                    constant[(c * nodes) + node] += (float)(Basis[j, c] * (offset[i] - ((scale[i] - 1) * filtered.Mean(i))));
                    for (int k = 0; k < Channels; k++)
                    {
                        int from = (c - k + Channels) % Channels;
                        mixing[k][(c * nodes) + node] += (float)(Basis[j, c] * (scale[i] - 1) * Basis[j, from]);
                    }
                }
            }
        }

        var tensors = new Dictionary<string, float[]> { [LevelTransport.OffsetName] = constant };
        for (int k = 0; k < Channels; k++)
        {
            tensors[LevelTransport.MixingName(k)] = mixing[k];
        }

        return tensors;
    }

    /// <summary>
    /// The tensors of <see cref="LevelGate"/>: a ridge classifier of the images as they are, its scores (about +1 for fakes, -1 for
    /// reals) multiplied so that the sigmoid is nearly 1 or 0.
    /// </summary>
    public IReadOnlyDictionary<string, float[]> FitGate()
    {
        var classifier = new RidgeClassifier([.. fakeLevels], [.. realLevels]);
        return new Dictionary<string, float[]>
        {
            [LevelGate.MeanName] = [.. classifier.Standardization.Means.Select(mean => (float)mean)],
            [LevelGate.ReciprocalName] = [.. classifier.Standardization.Deviations.Select(deviation => (float)(1 / deviation))],
            [LevelGate.WeightName] = [.. classifier.Coefficients().Select(weight => (float)(GateSharpness * weight))],
            [LevelGate.BiasName] = [0],
        };
    }

    public void Dispose()
    {
        program.Dispose();
        store.Dispose();
    }

    private void Run(ReadOnlySpan<float> planes)
    {
        program.Write(image, planes);
        program.Run();
    }

    private double[] Read(Value levels, bool rotate)
    {
        program.Read<float>(levels, buffer);
        double[] result = new double[buffer.Length];
        for (int i = 0; i < result.Length; i++)
        {
            (int j, int node) = (i / nodes, i % nodes);
            result[i] = !rotate ? buffer[i]
                : (Basis[j, 0] * buffer[node]) + (Basis[j, 1] * buffer[nodes + node]) + (Basis[j, 2] * buffer[(2 * nodes) + node]);
        }

        return result;
    }

    // Running mean and variance of every level (Welford 1962).
    private sealed class Moments(int length)
    {
        private readonly double[] means = new double[length];
        private readonly double[] squares = new double[length];

        public int Count { get; private set; }

        public void Add(double[] values)
        {
            Count++;
            for (int i = 0; i < values.Length; i++)
            {
                double difference = values[i] - means[i];
                means[i] += difference / Count;
                squares[i] += difference * (values[i] - means[i]);
            }
        }

        public double Mean(int i) => means[i];

        public double Deviation(int i) => Math.Sqrt(squares[i] / (Count - 1));
    }
}
