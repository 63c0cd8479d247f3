using Stig.Model.Graphs;

namespace Stig.SelfTest;

/// <summary>Draws the values of an input, in the order of <see cref="Tensor.Values"/>.</summary>
internal delegate double[] InputFill(Random random, TensorType type);

/// <summary>An input of an operation under test.</summary>
/// <param name="Name">Name in messages, and of the graph's input or parameter.</param>
/// <param name="Type">A plain type: cases ask for feature maps inside the graph.</param>
/// <param name="Fill">Where its values come from.</param>
internal sealed record CaseInput(string Name, TensorType Type, InputFill Fill)
{
    /// <summary>Whether it lives in the tensor store, as weights do; otherwise it is written before a run.</summary>
    public bool IsParameter { get; init; }

    /// <summary>Whether the gradient with respect to it is checked.</summary>
    public bool HasGradient { get; init; }

    /// <summary>A float32 input whose gradient is checked.</summary>
    public static CaseInput Variable(string name, Shape shape, InputFill fill) =>
        new(name, TensorType.Float(shape), fill) { HasGradient = true };

    /// <summary>A float32 input without a gradient.</summary>
    public static CaseInput Constant(string name, Shape shape, InputFill fill) => new(name, TensorType.Float(shape), fill);

    /// <summary>A parameter whose gradient is checked.</summary>
    public static CaseInput Weights(string name, Shape shape, InputFill fill) =>
        new(name, TensorType.Float(shape), fill) { HasGradient = true, IsParameter = true };

    /// <summary>A parameter that the operation updates or reads as a constant.</summary>
    public static CaseInput State(string name, Shape shape, InputFill fill) =>
        new(name, TensorType.Float(shape), fill) { IsParameter = true };

    /// <summary>Draws the values, rounded to what the element type can hold.</summary>
    public Tensor Draw(Random random)
    {
        double[] values = Fill(random, Type);
        if (Type.Element is ElementType.Float32 or ElementType.Complex64)
        {
            values = Array.ConvertAll(values, value => (double)(float)value);
        }

        return new Tensor(Type.Shape, Type.Element, values);
    }
}

/// <summary>Distributions of inputs. Those for functions with switch points keep clear of them by far more than any error or
/// step.</summary>
internal static class Fills
{
    public static InputFill Normal(double deviation = 1, double mean = 0) =>
        (random, type) => Each(type, _ => mean + (deviation * Gaussian(random)));

    public static InputFill Uniform(double low, double high) => (random, type) =>
        Each(type, _ => low + ((high - low) * random.NextDouble()));

    /// <summary>Magnitudes in [0.5, 1.5], random signs: away from the kink of a ReLU.</summary>
    public static InputFill AwayFromZero { get; } =
        (random, type) => Each(type, _ => (0.5 + random.NextDouble()) * (random.Next(2) == 0 ? 1 : -1));

    /// <summary>Values in [-0.9, -0.1], [0.1, 0.9] and [1.1, 1.9]: away from the ends of the unit interval.</summary>
    public static InputFill AwayFromUnitEnds { get; } = (random, type) =>
        Each(type, _ => random.Next(-1, 2) + 0.1 + (0.8 * random.NextDouble()));

    /// <summary>
    /// Magnitudes in [1, 1.5], signs alternating: every plane has a mean near 0 and a deviation near 1.2, so that its
    /// normalised values stay away from 0 by more than a half.
    /// </summary>
    public static InputFill Alternating { get; } = (random, type) =>
        Each(type, index => (1 + (0.5 * random.NextDouble())) * (index % 2 == 0 ? 1 : -1));

    /// <summary>Evenly spaced values in [low, high] in random order: no two are equal, so maxima, minima and their neighbours
    /// are clear.</summary>
    public static InputFill Distinct(double low, double high) => (random, type) =>
    {
        double[] values = Each(type, index => low + ((high - low) * index / Math.Max(1, type.Shape.Count - 1)));
        random.Shuffle(values);
        return values;
    };

    /// <summary>Integers from low to high, both included: in a large tensor many elements are equal.</summary>
    public static InputFill Integers(int low, int high) => (random, type) => Each(type, _ => random.Next(low, high + 1));

    public static InputFill Same(double value) => (_, type) => Each(type, _ => value);

    public static InputFill Given(params double[] values) => (_, _) => values;

    /// <summary>Rows [N, K] of unit length.</summary>
    public static InputFill UnitRows { get; } = (random, type) =>
    {
        double[] values = Normal()(random, type);
        int length = type.Shape.C;
        for (int row = 0; row < type.Shape.N; row++)
        {
            Span<double> elements = values.AsSpan(row * length, length);
            double squares = 0;
            foreach (double element in elements)
            {
                squares += element * element;
            }

            foreach (ref double element in elements)
            {
                element /= Math.Sqrt(squares);
            }
        }

        return values;
    };

    /// <summary>Complex numbers of modulus one.</summary>
    public static InputFill Phasors { get; } = (random, type) =>
    {
        double[] values = new double[2 * type.Shape.Count];
        for (int index = 0; index < values.Length; index += 2)
        {
            (values[index + 1], values[index]) = Math.SinCos(2 * Math.PI * random.NextDouble());
        }

        return values;
    };

    /// <summary>All 256 bytes in turn.</summary>
    public static InputFill Bytes { get; } = (_, type) => Each(type, index => index % 256);

    /// <summary>Values whose 255-fold is at least 0.1 from every integer and half, and some outside [0, 1].</summary>
    public static InputFill ClearOfRounding { get; } = (random, type) => Each(type, _ =>
        (random.Next(-20, 275) + (random.Next(2) == 0 ? 0.1 : 0.6) + (0.3 * random.NextDouble())) / 255);

    private static double[] Each(TensorType type, Func<int, double> value)
    {
        double[] values = new double[type.Shape.Count];
        for (int index = 0; index < values.Length; index++)
        {
            values[index] = value(index);
        }

        return values;
    }

    // Box and Muller.
    private static double Gaussian(Random random) =>
        Math.Sqrt(-2 * Math.Log(1 - random.NextDouble())) * Math.Cos(2 * Math.PI * random.NextDouble());
}
